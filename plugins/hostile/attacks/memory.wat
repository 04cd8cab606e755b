;; Takes what it may not have.

;;; memory-bomb
(func $process (type $process) (loop $on (drop (memory.grow (i32.const 16))) (br $on)) unreachable)

;;; memory-at-once
;; Four gigabytes in one step.
(func $process (type $process) (drop (memory.grow (i32.const 65000))) (call $keep (local.get 4)))

;;; memory-declared
;; Before any of its code runs.
;;; @component
(core module $large (memory 200))
(core instance (instantiate $large))

;;; memory-summed
;; Three memories, each of them within the limit.
;;; @component
(core module $large (memory 50))
(core instance (instantiate $large))
(core instance (instantiate $large))
(core instance (instantiate $large))

;;; memories
;; Of nothing at all, and too many of them.
;;; @component
(core module $small (memory 0))
(core instance (instantiate $small))
(core instance (instantiate $small))
(core instance (instantiate $small))
(core instance (instantiate $small))

;;; table-bomb
(table $table 1 funcref)
(func $process (type $process)
  (loop $on (drop (table.grow $table (ref.null func) (i32.const 1000))) (br $on))
  unreachable)

;;; table-declared
(table 10001 funcref)

;;; tables-summed
(table 6000 funcref)
(table 6000 funcref)

;;; tables
(table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)
(table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)

;;; leak
;; A mebibyte more with each batch.
(func $process (type $process) (drop (memory.grow (i32.const 16))) (call $keep (local.get 4)))
(func $returned (param i32))

;;; recursion
(func $deep (param i64) (result i64)
  (i64.add (local.get 0) (call $deep (i64.add (local.get 0) (i64.const 1)))))
(func $process (type $process) (drop (call $deep (i64.const 0))) (call $keep (local.get 4)))

;;; recursion-wide
;; Large frames: the guard page must not be stepped over.
(func $deep (param i64 i64 i64 i64 i64 i64 i64 i64) (result i64 i64 i64 i64 i64 i64 i64 i64)
  (call $deep (i64.add (local.get 7) (i64.const 1)) (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)
    (local.get 5) (local.get 6))
  (drop) (i64.const 1))
(func $process (type $process)
  (drop (drop (drop (drop (drop (drop (drop (drop (call $deep (i64.const 0) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)
    (i64.const 5) (i64.const 6) (i64.const 7))))))))))
  (call $keep (local.get 4)))

;;; recursion-indirect
(table 1 1 funcref)
(elem (i32.const 0) $deep)
(func $deep (call_indirect (i32.const 0)) (call_indirect (i32.const 0)))
(func $process (type $process) (call $deep) (call $keep (local.get 4)))
