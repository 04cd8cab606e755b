  ;; What makes of the frame a `stateful-filter`.
  (alias core export $plugin "snapshot" (core func $core-snapshot))
  (alias core export $plugin "restore" (core func $core-restore))
  (func $snapshot (result (result $saved (error string)))
    (canon lift (core func $core-snapshot) (memory $memory) (realloc $realloc)))
  (func $restore (param "saved" $saved) (result (result (error string)))
    (canon lift (core func $core-restore) (memory $memory) (realloc $realloc)))
  (instance $state (export "snapshot" (func $snapshot)) (export "restore" (func $restore)))
  (export "curb:plugin/state@0.1.0" (instance $state))
