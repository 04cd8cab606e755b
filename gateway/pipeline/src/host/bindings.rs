//! The contract of `plugins/wit`, as the host sees it. Generated, with the `unsafe` of the boundary.

wasmtime::component::bindgen!({
    path: "../../plugins/wit",
    world: "stateful-filter",
    imports: { default: trappable },
});
