;; Ends where it should not.

;;; trap-start
(func $trap unreachable)
(start $trap)

;;; trap-init
(func $init (type $init) unreachable)

;;; trap-process
(func $process (type $process) unreachable)

;;; trap-division
(func $process (type $process) (call $keep (i32.div_u (i32.const 1) (i32.const 0))))

;;; trap-number
(func $process (type $process) (call $keep (i32.trunc_f64_u (f64.const nan))))

;;; trap-null
(table 1 funcref)
(func $process (type $process) (call_indirect (i32.const 0)) (call $keep (local.get 4)))

;;; trap-each-third
(global $calls (mut i32) (i32.const 0))
(func $process (type $process)
  (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
  (if (i32.eq (global.get $calls) (i32.const 3)) (then unreachable))
  (call $keep (local.get 4)))

;;; trap-on-one
;; Any batch with a 666 in it.
(func $process (type $process)
  (local $row i32)
  (block $done (loop $next
    (br_if $done (i32.ge_u (local.get $row) (local.get 4)))
    (if (f64.eq (f64.load (i32.add (local.get 7) (i32.mul (local.get $row) (i32.const 8)))) (f64.const 666)) (then unreachable))
    (local.set $row (i32.add (local.get $row) (i32.const 1)))
    (br $next)))
  (call $keep (local.get 4)))
