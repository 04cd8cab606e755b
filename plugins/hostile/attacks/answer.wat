;; Answers against the contract. The host must take each for what it is: bytes of a stranger.

;;; list-endless
;; 2^32 - 1 rows.
(func $process (type $process)
  (drop (call $keep (local.get 4))) (i32.store (i32.const 8) (i32.const -1)) (i32.const 0))

;;; list-large
;; As many as there is memory for.
(func $process (type $process)
  (drop (memory.grow (i32.const 110)))
  (drop (call $keep (local.get 4))) (i32.store (i32.const 8) (i32.const 1800000)) (i32.const 0))

;;; others-endless
(func $process (type $process)
  (drop (call $keep (local.get 4))) (i32.store (i32.const 56) (i32.const 0x10000000)) (i32.const 0))

;;; pointer-out
(func $process (type $process)
  (drop (call $keep (local.get 4))) (i32.store (i32.const 4) (i32.const 0xfffffff0)) (i32.const 0))

;;; pointer-end
;; The last row ends behind the memory.
(func $process (type $process)
  (drop (call $keep (local.get 4))) (i32.store (i32.const 4) (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)))
  (i32.store (i32.const 8) (i32.const 2)) (i32.const 0))

;;; pointer-odd
(func $process (type $process)
  (drop (call $keep (local.get 4))) (i32.store (i32.const 4) (i32.const 1025)) (i32.const 0))

;;; answer-out
;; The answer itself is nowhere.
(func $process (type $process) (i32.const 0x7ffffff0))

;;; realloc-out
;; The host is to write the readings where there is no memory.
;;; @base
(func $realloc (param i32 i32 i32 i32) (result i32) (i32.const 0xffff0000))

;;; not-utf8
(func $process (type $process)
  (drop (call $empty)) (memory.fill (i32.const 512) (i32.const 0xff) (i32.const 3))
  (i32.store8 (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 512)) (i32.store (i32.const 8) (i32.const 3)) (i32.const 0))

;;; discriminant
(func $process (type $process) (drop (call $empty)) (i32.store8 (i32.const 0) (i32.const 7)) (i32.const 0))

;;; discriminant-within
;; Of a value that is neither a number nor a text nor bytes.
(func $process (type $process)
  (drop (call $keep (local.get 4))) (i32.store (i32.const 52) (i32.const 512)) (i32.store (i32.const 56) (i32.const 1))
  (i32.store8 (i32.const 520) (i32.const 9)) (i32.const 0))

;;; row-forged
;; One more than it was given.
(func $process (type $process) (call $keep (i32.add (local.get 4) (i32.const 1))))

;;; row-twice
(func $process (type $process)
  (drop (call $keep (local.get 4)))
  (i32.store (i32.const 1028) (i32.const 0)) (i32.store (i32.const 8) (i32.const 2)) (i32.const 0))

;;; row-kept-and-refused
(func $process (type $process)
  (drop (call $keep (local.get 4)))
  (i32.store (i32.const 68) (i32.const 512)) (i32.store (i32.const 72) (i32.const 1)) (i32.const 0))

;;; quality-unknown
(func $process (type $process)
  (drop (call $empty))
  (i32.store8 (i32.const 516) (i32.const 3))
  (i32.store (i32.const 60) (i32.const 512)) (i32.store (i32.const 64) (i32.const 1)) (i32.const 0))

;;; own-foreign
;; A reading on a point that is not its own.
(func $process (type $process) (drop (call $empty)) (call $add (i32.const 0) (local.get 0) (f64.const 1)))

;;; own-late
;; A reading of tomorrow.
(func $init (type $init) (call $declare-own) (call $empty))
(func $process (type $process)
  (drop (call $empty)) (call $add (global.get $own) (i64.add (local.get 0) (i64.const 1)) (f64.const 1)))

;;; own-nan
(func $init (type $init) (call $declare-own) (call $empty))
(func $process (type $process) (drop (call $empty)) (call $add (global.get $own) (local.get 0) (f64.const nan)))

;;; own-unequal
;; A column is shorter than the others.
(func $init (type $init) (call $declare-own) (call $empty))
(func $process (type $process)
  (drop (call $empty)) (drop (call $add (global.get $own) (local.get 0) (f64.const 1)))
  (i32.store (i32.const 24) (i32.const 0)) (i32.const 0))

;;; own-kind
(func $init (type $init) (call $declare-own) (call $empty))
(func $process (type $process)
  (drop (call $empty)) (drop (call $add (global.get $own) (local.get 0) (f64.const 1)))
  (i32.store8 (i32.const 536) (i32.const 77)) (i32.const 0))

;;; own-text
;; A text that is not there.
(func $init (type $init) (call $declare-own) (call $empty))
(func $process (type $process)
  (drop (call $empty)) (drop (call $add (global.get $own) (local.get 0) (f64.const 1)))
  (i32.store8 (i32.const 536) (i32.const 5)) (i32.const 0))

;;; own-bad
;; Bad, with a value.
(func $init (type $init) (call $declare-own) (call $empty))
(func $process (type $process)
  (drop (call $empty)) (drop (call $add (global.get $own) (local.get 0) (f64.const 1)))
  (i32.store8 (i32.const 537) (i32.const 6)) (i32.const 0))

;;; snapshot-huge
;; A hundred megabytes, which it does not have.
(func $snapshot (type $snapshot)
  (drop (call $empty)) (i32.store (i32.const 12) (i32.const 100000000)) (i32.const 0))

;;; snapshot-large
;; Seven megabytes, which it has.
(func $init (type $init) (drop (memory.grow (i32.const 110))) (call $empty))
(func $snapshot (type $snapshot)
  (drop (call $empty)) (i32.store (i32.const 12) (i32.const 7000000)) (i32.const 0))

;;; snapshot-over
;; One byte more than a state may have.
(func $init (type $init) (drop (memory.grow (i32.const 110))) (call $empty))
(func $snapshot (type $snapshot)
  (drop (call $empty)) (i32.store (i32.const 12) (i32.const 262145)) (i32.const 0))
