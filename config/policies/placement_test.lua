local web = { image = "nginx:1.25" }
local cache = { image = "redis:7", deploy = { resources = { reservations = { memory = "17179869184" } } } }
local spot = { labels = { lifecycle = "spot" } }
local large = { capacity = { cpus = 32, memory = 274877906944 } }

return {
  { name = "a plain node", service = web, node = {}, score = 0 },
  { name = "spot is cheap", service = web, node = spot, score = 50 },
  { name = "but not for production", service = web, node = spot, context = { namespace = "production" }, deny = "does not run on spot nodes" },
  { name = "a team's node", service = web, node = { labels = { team = "data" } }, context = { namespace = "data" } },
  { name = "of another team", service = web, node = { labels = { team = "data" } }, deny = "belongs to data" },
  { name = "much memory goes to large machines", service = cache, node = large, score = 100 },
  { name = "little does not mind", service = web, node = large, score = 0 },
}
