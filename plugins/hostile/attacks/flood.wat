;; Asks the host for more than it should, or for what cannot be.

;;; log-storm
;; A line, and another, without end.
(func $process (type $process)
  (loop $on (call $log (i32.const 3) (i32.const 32768) (i32.const 5)) (br $on))
  unreachable)

;;; metric-storm
(func $process (type $process)
  (loop $on (call $counter-add (i32.const 32768) (i32.const 5) (i64.const 1)) (br $on))
  unreachable)

;;; log-many
;; A thousand lines, and then a good answer.
(func $process (type $process)
  (local $n i32)
  (loop $on
    (call $log (i32.const 3) (i32.const 32768) (i32.const 5))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $on (i32.lt_u (local.get $n) (i32.const 1000))))
  (call $keep (local.get 4)))

;;; log-long
;; A line of seven megabytes.
(func $process (type $process)
  (drop (memory.grow (i32.const 110)))
  (memory.fill (i32.const 65536) (i32.const 120) (i32.const 7000000))
  (call $log (i32.const 3) (i32.const 65536) (i32.const 7000000))
  (call $keep (local.get 4)))

;;; log-out
(func $process (type $process)
  (call $log (i32.const 3) (i32.const 0xffffff00) (i32.const 5))
  (call $keep (local.get 4)))

;;; log-level
(func $process (type $process)
  (call $log (i32.const 99) (i32.const 32768) (i32.const 5))
  (call $keep (local.get 4)))

;;; log-not-utf8
(func $process (type $process)
  (i32.store (i32.const 512) (i32.const -1))
  (call $log (i32.const 3) (i32.const 512) (i32.const 4))
  (call $keep (local.get 4)))

;;; metric-names
;; A thousand names, and numbers that are none.
(func $digits (param $n i32)
  (i32.store8 (i32.const 32768) (i32.add (i32.const 97) (i32.rem_u (local.get $n) (i32.const 10))))
  (i32.store8 (i32.const 32769) (i32.add (i32.const 97) (i32.rem_u (i32.div_u (local.get $n) (i32.const 10)) (i32.const 10))))
  (i32.store8 (i32.const 32770) (i32.add (i32.const 97) (i32.div_u (local.get $n) (i32.const 100)))))
(func $process (type $process)
  (local $n i32)
  (loop $on
    (call $digits (local.get $n))
    (call $counter-add (i32.const 32768) (i32.const 3) (i64.const -1))
    (call $gauge-set (i32.const 32768) (i32.const 4) (f64.const nan))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $on (i32.lt_u (local.get $n) (i32.const 1000))))
  (call $keep (local.get 4)))

;;; points-many
;; A thousand points of its own.
(func $digits (param $n i32)
  (i32.store8 (i32.const 32768) (i32.add (i32.const 97) (i32.rem_u (local.get $n) (i32.const 10))))
  (i32.store8 (i32.const 32769) (i32.add (i32.const 97) (i32.rem_u (i32.div_u (local.get $n) (i32.const 10)) (i32.const 10))))
  (i32.store8 (i32.const 32770) (i32.add (i32.const 97) (i32.div_u (local.get $n) (i32.const 100)))))
(func $init (type $init)
  (local $n i32)
  (loop $on
    (call $digits (local.get $n))
    (call $declare-own)
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $on (i32.lt_u (local.get $n) (i32.const 1000))))
  (call $empty))

;;; points-storm
(func $init (type $init) (loop $on (call $declare-own) (br $on)) unreachable)

;;; points-late
;; When it may not any more.
(func $process (type $process) (call $declare-own) (call $keep (local.get 4)))

;;; tick-often
(func $init (type $init) (drop (call $empty)) (i32.store (i32.const 4) (i32.const 1)) (i32.const 0))
