;; The second batch is a trap, behind which the state of the first one comes back: and there the attack begins.

;;; restore-spin
(global $calls (mut i32) (i32.const 0))
(func $process (type $process)
  (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
  (if (i32.eq (global.get $calls) (i32.const 2)) (then unreachable))
  (call $keep (local.get 4)))
(func $restore (type $restore) (loop $on (br $on)) unreachable)

;;; restore-trap
(global $calls (mut i32) (i32.const 0))
(func $process (type $process)
  (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
  (if (i32.eq (global.get $calls) (i32.const 2)) (then unreachable))
  (call $keep (local.get 4)))
(func $restore (type $restore) unreachable)

;;; restore-bomb
(global $calls (mut i32) (i32.const 0))
(func $process (type $process)
  (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
  (if (i32.eq (global.get $calls) (i32.const 2)) (then unreachable))
  (call $keep (local.get 4)))
(func $restore (type $restore) (loop $on (drop (memory.grow (i32.const 16))) (br $on)) unreachable)
