{
  # The addon, and the eBPF program that it carries. Built by node-gyp into native/build/.
  "target_defaults": {
    "cflags_cc": ["-std=c++20", "-O3", "-ffp-contract=off", "-Wall", "-Wextra", "-Wshadow=local", "-Wconversion", "-Wno-missing-field-initializers", "-fexceptions", "-fno-plt"],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
    "include_dirs": ["."]
  },
  "targets": [
    {
      "target_name": "bpf",
      "type": "none",
      "hard_dependency": 1,
      "actions": [
        {
          "action_name": "arrive",
          "inputs": ["bpf/arrive.bpf.c", "bpf/arrival.h", "bpf/arrival_state.h", "bpf/trail_state.h", "bpf/match.h", "bpf/compile.js", "wire.gen.h"],
          "outputs": ["<(SHARED_INTERMEDIATE_DIR)/arrive.bpf.h"],
          "action": ["node", "bpf/compile.js", "bpf/arrive.bpf.c", "<(SHARED_INTERMEDIATE_DIR)/arrive.bpf.h"],
          "message": "Compiling the eBPF program arrive"
        },
        {
          "action_name": "interruptions",
          "inputs": ["bpf/interruptions.bpf.c", "bpf/compile.js", "core/interruption_log.h"],
          "outputs": ["<(SHARED_INTERMEDIATE_DIR)/interruptions.bpf.h"],
          "action": ["node", "bpf/compile.js", "bpf/interruptions.bpf.c", "<(SHARED_INTERMEDIATE_DIR)/interruptions.bpf.h"],
          "message": "Compiling the eBPF program interruptions"
        },
        {
          "action_name": "redirect",
          "inputs": ["bpf/redirect.bpf.c", "bpf/unserved.h", "bpf/unserved_queues.h", "bpf/stages.h", "bpf/wanted.h", "bpf/arrival.h", "bpf/arrival_state.h", "bpf/trail_state.h", "bpf/match.h", "bpf/compile.js", "wire.gen.h"],
          "outputs": ["<(SHARED_INTERMEDIATE_DIR)/redirect.bpf.h"],
          "action": ["node", "bpf/compile.js", "bpf/redirect.bpf.c", "<(SHARED_INTERMEDIATE_DIR)/redirect.bpf.h"],
          "message": "Compiling the eBPF program redirect"
        },
        {
          "action_name": "respond",
          "inputs": ["bpf/respond.bpf.c", "bpf/unserved.h", "bpf/unserved_queues.h", "bpf/stages.h", "bpf/wanted.h", "bpf/arrival.h", "bpf/arrival_state.h", "bpf/trail_state.h", "bpf/link_rules.h", "bpf/match.h", "bpf/packet.h", "bpf/respond.h", "bpf/compile.js", "wire.gen.h",
                     "order/answer_limit.h", "<!@(ls strategy/*.h)"],
          "outputs": ["<(SHARED_INTERMEDIATE_DIR)/respond.bpf.h"],
          "action": ["node", "bpf/compile.js", "bpf/respond.bpf.c", "<(SHARED_INTERMEDIATE_DIR)/respond.bpf.h"],
          "message": "Compiling the eBPF program respond"
        },
        {
          "action_name": "generate",
          "inputs": ["bpf/generate.bpf.c", "bpf/unserved.h", "bpf/unserved_queues.h", "bpf/generate.h", "bpf/generate_maps.h", "bpf/send_frame.h", "bpf/send_tick.h", "bpf/send_time.h", "bpf/settle_order.h", "bpf/link_rules.h", "bpf/match.h", "bpf/packet.h", "bpf/compile.js",
                     "generate/ledger_entry.h", "wire.gen.h", "strategy/strategy.h"],
          "outputs": ["<(SHARED_INTERMEDIATE_DIR)/generate.bpf.h"],
          "action": ["node", "bpf/compile.js", "bpf/generate.bpf.c", "<(SHARED_INTERMEDIATE_DIR)/generate.bpf.h", "v3"],
          "message": "Compiling the eBPF program generate"
        }
      ]
    },
    {
      "target_name": "carom",
      "dependencies": ["bpf"],
      "sources": [
        # First what takes longest: a compiler that starts on it at the end would be waited for alone.
        "loop/backends.cpp", "addon/unit_roles.cpp", "addon/unit_files.cpp",
        "capture/bursts.cpp", "capture/bytes.cpp", "capture/compare.cpp", "capture/edit.cpp", "capture/ethernet.cpp", "capture/file.cpp", "capture/fingerprint.cpp", "capture/inspect.cpp", "capture/pcap_file.cpp", "capture/pcapng.cpp", "capture/pcapng_file.cpp", "capture/player.cpp", "capture/reader.cpp", "capture/remarks.cpp", "capture/ring.cpp", "capture/trading.cpp", "capture/writer.cpp",
        "core/clock.cpp", "core/evidence.cpp", "core/privileges.cpp", "core/thread.cpp", "core/turn_watch.cpp",
        "filter/asmjit_stderr.cpp", "filter/ebpf.cpp", "filter/expression.cpp", "filter/filter.cpp", "filter/graph_builder.cpp", "filter/graph_text.cpp", "filter/head.cpp", "filter/interpret.cpp", "filter/jit.cpp", "filter/language.cpp", "filter/lower.cpp", "filter/machine_code.cpp", "filter/market_terms.cpp", "filter/packet_filter.cpp", "filter/program.cpp", "filter/simd.cpp", "filter/simplify.cpp", "filter/symbol_set.cpp",
        "generate/arrival.cpp", "generate/feed.cpp", "generate/ledger.cpp", "generate/ledger_judge.cpp", "generate/replay.cpp",
        "io/af_packet.cpp", "io/af_xdp.cpp", "io/arrivals.cpp", "io/carrier.cpp", "io/driver_counters.cpp", "io/interruptions.cpp", "io/launch.cpp", "io/link_watch.cpp", "io/netdev.cpp", "io/nic_timestamping.cpp", "io/packet_tap.cpp", "io/phc.cpp", "io/socket.cpp", "io/timestamping.cpp", "io/udp.cpp", "io/watcher.cpp", "io/wire_probe.cpp", "io/xdp.cpp", "io/xdp_filter.cpp", "io/xdp_holder.cpp", "io/xdp_live.cpp", "io/xdp_pass.cpp", "io/xdp_program.cpp",
        "loop/capture.cpp", "loop/filter_capture.cpp", "loop/generate_live.cpp", "loop/respond.cpp", "loop/role.cpp", "loop/run_capture.cpp"
      ],
      "cflags_cc": ["-isystem", "<!(node -p \"require('path').resolve(require('node-addon-api').include_dir)\")"],
      "include_dirs": ["<(SHARED_INTERMEDIATE_DIR)"],
      "defines": ["NAPI_CPP_EXCEPTIONS", "NAPI_VERSION=8"],
      "libraries": ["-lbpf", "-lpcap", "-lz", "-lzstd", "-lasmjit"],
      "ldflags": ["-Wl,--wrap=stderr", "-Wl,--exclude-libs,libasmjit.a"]
    },
    {
      "target_name": "carom-watcher",
      "type": "executable",
      "sources": ["core/privileges.cpp", "io/watcher_main.cpp"]
    }
  ]
}
