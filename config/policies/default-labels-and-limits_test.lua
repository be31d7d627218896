return {
  { name = "a bare service gets it all", service = { image = "x" }, changed = true,
    result = {
      image = "x",
      init = true,
      deploy = { resources = { limits = { memory = "536870912", cpus = 1 } } },
      logging = { driver = "json-file", options = { ["max-size"] = "10m" } },
      labels = { ["org.example.namespace"] = "default", ["org.example.app"] = "test" },
    } },
  { name = "its own words stay",
    service = {
      image = "x", init = false, mem_limit = "1g", cpus = 2,
      logging = { driver = "none" },
      labels = { ["org.example.namespace"] = "mine", ["org.example.app"] = "mine" },
    },
    changed = false,
    result = { init = false, deploy = null } },
  { name = "what is there already is completed",
    service = { image = "x", deploy = { replicas = 3, resources = { limits = { cpus = 0.5 } } } },
    result = { deploy = { replicas = 3, resources = { limits = { cpus = 0.5, memory = "536870912" } } } } },
  { name = "labels of others stay", service = { image = "x", labels = { a = "b" } }, result = { labels = { a = "b" } } },
  { name = "a rollback is not touched", service = { image = "x" }, context = { operation = "rollback" }, changed = false },
}
