-- Fills in what people leave out: limits, an init process, bounded logs, and labels that say whose it is. What a service
-- says itself is never changed.
local default_memory = "536870912" -- 512 MiB, as Compose prints it
local default_cpus = 1

return {
  name = "default-labels-and-limits",
  description = "limits, init, log rotation and owner labels where a service has none",
  operations = { "create", "update" }, -- a rollback brings back what was, unchanged

  mutate_service = function(svc, ctx)
    if not get(svc, "deploy.resources.limits.memory") and not svc.mem_limit then
      set(svc, "deploy.resources.limits.memory", default_memory)
    end
    if not get(svc, "deploy.resources.limits.cpus") and not svc.cpus then
      set(svc, "deploy.resources.limits.cpus", default_cpus)
    end
    if svc.init == nil then
      svc.init = true
    end
    if not svc.logging then
      svc.logging = { driver = "json-file", options = { ["max-size"] = "10m", ["max-file"] = "3" } }
    end
    svc.labels = svc.labels or {}
    svc.labels["org.example.namespace"] = svc.labels["org.example.namespace"] or ctx.namespace
    svc.labels["org.example.app"] = svc.labels["org.example.app"] or ctx.app
  end,
}
