-- Every service says how much memory and how many CPUs it may take, so that one of them cannot starve the others.
-- Change the two figures to what your machines allow.
local most_memory = bytes("8g")
local most_cpus = 4

return {
  name = "require-limits",
  description = "memory and cpu limits on every service",

  validate_service = function(svc, ctx)
    -- deploy.resources.limits is how Compose has it; mem_limit and cpus are the older way.
    local memory = bytes(get(svc, "deploy.resources.limits.memory") or svc.mem_limit)
    local cores = cpus(get(svc, "deploy.resources.limits.cpus") or svc.cpus)

    if not memory then
      deny("has no memory limit: set deploy.resources.limits.memory, for example \"256m\"")
    elseif memory > most_memory then
      deny("its memory limit is over " .. most_memory // (1024 * 1024 * 1024) .. " GiB")
    end
    if not cores then
      deny("has no cpu limit: set deploy.resources.limits.cpus, for example \"0.5\"")
    elseif cores > most_cpus then
      deny("its cpu limit is over " .. most_cpus)
    end
    if not svc.healthcheck then
      warn("has no health check: it counts as healthy as soon as it runs")
    end
  end,
}
