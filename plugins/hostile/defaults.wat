;; The functions of a plugin that does nothing wrong; an attack has some of them otherwise.
;;; @base
(func $realloc (param $old i32) (param $had i32) (param $align i32) (param $size i32) (result i32)
  (local $at i32)
  (local.set $at (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
  (global.set $top (i32.add (local.get $at) (local.get $size)))
  (block $fits (loop $more
    (br_if $fits (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
    (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
    unreachable))
  (local.get $at))
;;; @core
(func $init (type $init) (call $empty))
(func $process (type $process) (call $keep (local.get 4)))
(func $tick (type $tick) (call $empty))
(func $finish (type $tick) (call $empty))
(func $snapshot (type $snapshot) (call $empty))
(func $restore (type $restore) (call $empty))
(func $returned (param i32) (global.set $top (i32.const 65536)))
