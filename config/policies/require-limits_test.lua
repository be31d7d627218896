local function limits(memory, cores)
  return { image = "web:1", deploy = { resources = { limits = { memory = memory, cpus = cores } } } }
end

return {
  { name = "limits are enough", service = limits("256m", "0.5") },
  { name = "numbers as Compose prints them", service = limits("268435456", 0.5) },
  { name = "the old way", service = { image = "web:1", mem_limit = "256m", cpus = 1 } },
  { name = "none at all", service = { image = "web:1" }, deny = { "no memory limit", "no cpu limit" } },
  { name = "memory only", service = limits("256m", nil), deny = "no cpu limit" },
  { name = "too much memory", service = limits("9g", "1"), deny = "over 8 GiB" },
  { name = "too many cpus", service = limits("1g", "4.5"), deny = "over 4" },
  { name = "unreadable memory", service = limits("plenty", "1"), deny = "no memory limit" },
  { name = "a missing health check is worth a word", service = limits("1g", "1"), warn = "no health check" },
  { name = "scaling is asked too", service = { image = "web:1" }, context = { operation = "scale" }, deny = true },
  { name = "removal is not", service = { image = "web:1" }, context = { operation = "remove" } },
}
