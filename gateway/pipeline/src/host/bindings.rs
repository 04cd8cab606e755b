//! The contract, as the host sees it: the newest version of its track that this hub speaks ([`SPOKEN`](super::contract::SPOKEN)).
//! Components of an older version of the track link to it. Generated, with the `unsafe` of the boundary.
//!
//! A track that breaks with this one gets bindings of its own beside these, turned into the same questions and answers
//! (`host/plugin.rs`), and these stay for as long as plugins/README.md promises.

wasmtime::component::bindgen!({
    path: "../../plugins/wit/0.1.0",
    world: "stateful-filter",
    imports: { default: trappable },
});
