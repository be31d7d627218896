-- @NAME@: the beginning of a container engine: it says what it is, has no containers, and tells what happens (nothing).
-- What is not here yet needs no line: methods that are not named are answered with "unsupported".
local settings = {}
local EVENT = 4 -- the channel of events, see berth/runtime.h

-- A method whose result is always the same.
local function always(result)
  return function(op) berth.finish(op, "ok", nil, result) end
end

return {
  id = "@NAME@", version = "0.1.0", license = "@LICENSE@", summary = "The beginning of a container engine.",
  config = { { name = "engine", type = "string", default = "@NAME@", doc = "The engine's name, as Berth shows it." } },
  interfaces = {
    ["berth.runtime/1"] = {
      info = function(op)
        berth.finish(op, "ok", nil, {
          name = settings.engine, version = "0.1.0", api_version = "1", os = "linux", arch = "amd64", platform = "linux/amd64",
          kernel = "", cpus = 1.0, memory = 1 << 30, cgroup = "2", root_dir = "/", rootless = false, features = berth.array {} })
      end,
      list = always { containers = berth.array {} },
      network_list = always { networks = berth.array {} },
      volume_list = always { volumes = berth.array {} },
      -- Runs until it is cancelled. "connected" tells the server that what it hears from now on is all that happens.
      events = function(op) berth.emit(op, EVENT, berth.json.encode { action = "connected" }) end,
    },
  },
  start = function(config) settings = config end,
  reload = function(config) settings = config end,
}
