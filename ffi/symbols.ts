/** The functions of libiservft as Deno calls them: a table and nothing else, each parameter with its C declaration.
 * `iservft.h` is the contract; test/ffi/drift_test.ts compares the two. SLOW functions are nonblocking. */
export const symbols = {
  isf_abi: { parameters: [], result: "i32" },
  isf_protocol: { parameters: [], result: "i32" },
  isf_status_size: { parameters: [], result: "i32" },
  isf_error_text: {
    parameters: [
      "i32", // int32_t code
      "buffer", // char *text
      "u32", // uint32_t size
    ],
    result: "i32",
  },
  isf_clock_us: { parameters: [], result: "u64" },
  isf_engine_new: {
    parameters: [
      "buffer", // const char *run_dir
      "buffer", // const uint8_t *secret
      "buffer", // isf_engine **engine
    ],
    result: "i32",
  },
  isf_engine_free: {
    parameters: [
      "pointer", // isf_engine *engine
    ],
    result: "void",
    nonblocking: true,
  },
  isf_status_page: {
    parameters: [
      "pointer", // isf_engine *engine
    ],
    result: "pointer",
  },
  isf_problem: {
    parameters: [
      "pointer", // isf_engine *engine
      "buffer", // char *text
      "u32", // uint32_t size
    ],
    result: "i32",
  },
  isf_memory_new: {
    parameters: [
      "pointer", // isf_engine *engine
      "u64", // uint64_t bytes
    ],
    result: "i32",
  },
  isf_disk_add: {
    parameters: [
      "pointer", // isf_engine *engine
      "buffer", // const char *name
      "buffer", // const char *image
      "buffer", // const char *state_prefix
      "buffer", // const char *socket
    ],
    result: "i32",
    nonblocking: true,
  },
  isf_disk_bytes: {
    parameters: [
      "pointer", // isf_engine *engine
      "i32", // int32_t index
    ],
    result: "i64",
  },
  isf_flush: {
    parameters: [
      "pointer", // isf_engine *engine
      "i32", // int32_t waits
    ],
    result: "i32",
    nonblocking: true,
  },
  isf_found: {
    parameters: [
      "pointer", // isf_engine *engine
      "buffer", // uint64_t *found
    ],
    result: "i32",
  },
  isf_nic_add: {
    parameters: [
      "pointer", // isf_engine *engine
      "buffer", // const char *tap
      "buffer", // const char *bridge
      "buffer", // const char *socket
    ],
    result: "i32",
  },
  isf_nic_lease: {
    parameters: [
      "pointer", // isf_engine *engine
      "i32", // int32_t nic
      "buffer", // const uint8_t *secret
      "u32", // uint32_t lease_us
    ],
    result: "i32",
  },
  isf_link_add: {
    parameters: [
      "pointer", // isf_engine *engine
      "i32", // int32_t index
      "buffer", // const char *local
      "buffer", // const char *peer
      "u32", // uint32_t port
      "i32", // int32_t listen
    ],
    result: "i32",
  },
  isf_heartbeat_path: {
    parameters: [
      "pointer", // isf_engine *engine
      "i32", // int32_t index
      "buffer", // const char *local
      "buffer", // const char *peer
      "u32", // uint32_t port
    ],
    result: "i32",
  },
  isf_heartbeat_start: {
    parameters: [
      "pointer", // isf_engine *engine
      "u32", // uint32_t interval_us
      "u32", // uint32_t silence_us
      "buffer", // const char *reference
      "buffer", // const char *lan
    ],
    result: "i32",
  },
  isf_relink: {
    parameters: [
      "pointer", // isf_engine *engine
      "buffer", // const uint8_t *secret
      "buffer", // const char *lines
      "u32", // uint32_t port
      "u32", // uint32_t listen
      "buffer", // uint64_t *since_us
    ],
    result: "i32",
  },
  isf_say: {
    parameters: [
      "pointer", // isf_engine *engine
      "u64", // uint64_t generation
      "u64", // uint64_t term
      "u64", // uint64_t epoch
      "u32", // uint32_t role
      "u32", // uint32_t flags
    ],
    result: "i32",
  },
  isf_control: {
    parameters: [
      "pointer", // isf_engine *engine
      "buffer", // const uint8_t *text
      "u32", // uint32_t length
    ],
    result: "i32",
  },
  isf_watchdog: {
    parameters: [
      "pointer", // isf_engine *engine
      "buffer", // const char *path
      "u32", // uint32_t timeout_s
    ],
    result: "i32",
  },
  isf_watchdog_state: {
    parameters: [
      "pointer", // isf_engine *engine
      "buffer", // char *text
      "u32", // uint32_t size
    ],
    result: "i32",
  },
  isf_qemu_attach: {
    parameters: [
      "pointer", // isf_engine *engine
      "i32", // int32_t pid
      "buffer", // const char *qmp
      "buffer", // const char *fifo
      "u32", // uint32_t uid
      "u32", // uint32_t tracker
    ],
    result: "i32",
    nonblocking: true,
  },
  isf_qemu_detach: {
    parameters: [
      "pointer", // isf_engine *engine
    ],
    result: "i32",
    nonblocking: true,
  },
  isf_blocks: {
    parameters: [
      "pointer", // isf_engine *engine
      "buffer", // char *text
      "u32", // uint32_t size
    ],
    result: "i32",
  },
  isf_rhythm: {
    parameters: [
      "pointer", // isf_engine *engine
      "u32", // uint32_t min_us
      "u32", // uint32_t max_us
      "u32", // uint32_t dirty_pages
      "u32", // uint32_t inflight
      "u32", // uint32_t stall_us
    ],
    result: "i32",
  },
  isf_throttle: {
    parameters: [
      "pointer", // isf_engine *engine
      "u32", // uint32_t percent
    ],
    result: "i32",
  },
  isf_asynchronous: {
    parameters: [
      "pointer", // isf_engine *engine
      "i32", // int32_t on
      "u64", // uint64_t term
    ],
    result: "i32",
    nonblocking: true,
  },
  isf_solo: {
    parameters: [
      "pointer", // isf_engine *engine
      "u64", // uint64_t term
    ],
    result: "i32",
  },
  isf_sync: {
    parameters: [
      "pointer", // isf_engine *engine
      "u64", // uint64_t generation
      "u64", // uint64_t term
      "i32", // int32_t changed
    ],
    result: "i32",
  },
  isf_sync_rate: {
    parameters: [
      "pointer", // isf_engine *engine
      "u64", // uint64_t bytes_per_s
    ],
    result: "i32",
  },
  isf_hold: {
    parameters: [
      "pointer", // isf_engine *engine
    ],
    result: "i32",
  },
  isf_handover: {
    parameters: [
      "pointer", // isf_engine *engine
    ],
    result: "i32",
  },
  isf_handover_cancel: {
    parameters: [
      "pointer", // isf_engine *engine
    ],
    result: "i32",
  },
  isf_verify: {
    parameters: [
      "pointer", // isf_engine *engine
    ],
    result: "i32",
  },
  isf_standby: {
    parameters: [
      "pointer", // isf_engine *engine
      "u64", // uint64_t generation
      "u64", // uint64_t term
      "i32", // int32_t keep
    ],
    result: "i32",
  },
  isf_flushes_wait: {
    parameters: [
      "pointer", // isf_engine *engine
      "i32", // int32_t wait
    ],
    result: "i32",
  },
  isf_commits: {
    parameters: [
      "pointer", // isf_engine *engine
      "i32", // int32_t on
    ],
    result: "i32",
  },
  isf_promote: {
    parameters: [
      "pointer", // isf_engine *engine
      "u64", // uint64_t term
      "i32", // int32_t gave_way
    ],
    result: "i32",
  },
  isf_restore: {
    parameters: [
      "pointer", // isf_engine *engine
      "buffer", // const char *socket
    ],
    result: "i32",
    nonblocking: true,
  },
  isf_restore_blocks: {
    parameters: [
      "pointer", // isf_engine *engine
    ],
    result: "i32",
    nonblocking: true,
  },
  isf_announce: {
    parameters: [
      "pointer", // isf_engine *engine
      "u32", // uint32_t times
    ],
    result: "i32",
  },
  isf_no_output_commit: {
    parameters: [
      "pointer", // isf_engine *engine
    ],
    result: "i32",
  },
  isf_failpoint: {
    parameters: [
      "pointer", // isf_engine *engine
      "buffer", // const char *name
      "i32", // int32_t action
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions, callable. */
export type EngineCalls = Deno.DynamicLibrary<typeof symbols>["symbols"];
