;; Loops without end, in each place where a plugin's code runs.

;;; spin-start
(func $spin (loop $on (br $on)))
(start $spin)

;;; spin-init
(func $init (type $init) (loop $on (br $on)) unreachable)

;;; spin-process
(func $process (type $process) (loop $on (br $on)) unreachable)

;;; spin-tick
(func $init (type $init) (drop (call $empty)) (i32.store (i32.const 4) (i32.const 100)) (i32.const 0))
(func $tick (type $tick) (loop $on (br $on)) unreachable)

;;; spin-finish
(func $finish (type $tick) (loop $on (br $on)) unreachable)

;;; spin-snapshot
(func $snapshot (type $snapshot) (loop $on (br $on)) unreachable)

;;; spin-realloc
;; While the host hands the readings over.
;;; @base
(func $realloc (param i32 i32 i32 i32) (result i32) (loop $on (br $on)) unreachable)

;;; spin-returned
;; When the host has its answer, and lets the plugin clean up.
(func $returned (param i32) (loop $on (br $on)))

;;; spin-calls
;; Two functions that call each other, without a loop.
(func $fork (param i32)
  (if (local.get 0) (then
    (call $fork (i32.sub (local.get 0) (i32.const 1)))
    (call $fork (i32.sub (local.get 0) (i32.const 1))))))
(func $process (type $process) (call $fork (i32.const 200)) (call $keep (local.get 4)))

;;; copy-storm
;; Each instruction moves seven megabytes.
(func $process (type $process)
  (drop (memory.grow (i32.const 110)))
  (loop $on
    (memory.copy (i32.const 65536) (i32.const 65537) (i32.const 7000000))
    (memory.fill (i32.const 65536) (i32.const 7) (i32.const 7000000))
    (br $on))
  unreachable)

;;; copy-calls
;; The same without a loop: a hundred moves in a row, in functions that call each other.
(func $move (memory.copy (i32.const 65536) (i32.const 65537) (i32.const 7000000)))
(func $fork (param i32)
  (call $move)
  (if (local.get 0) (then
    (call $fork (i32.sub (local.get 0) (i32.const 1)))
    (call $fork (i32.sub (local.get 0) (i32.const 1))))))
(func $process (type $process) (drop (memory.grow (i32.const 110))) (call $fork (i32.const 100)) (call $keep (local.get 4)))
