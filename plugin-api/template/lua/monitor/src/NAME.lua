-- @NAME@: how many events of each type there were, for whoever asks for it over HTTP.
local counts, settings, last = {}, {}, 0

local function table_of_counts()
  local lines = {}
  for kind, n in pairs(counts) do lines[#lines + 1] = kind .. "\t" .. n .. "\n" end
  table.sort(lines)
  return table.concat(lines)
end

return {
  id = "@NAME@", version = "0.1.0", license = "@LICENSE@", summary = "Numbers of events, as a table over HTTP.",
  needs = { "berth.host.events/1", "berth.host.routes/1" },
  config = { { name = "route", type = "string", default = "/@NAME@", immutable = true, doc = "Path of the table." } },
  interfaces = {
    ["berth.monitor/1"] = {
      probe = function(op)
        berth.finish(op, "ok", nil, { mode = "pull", endpoints = { settings.route }, last_ms = last, status = "ok", detail = "" })
      end,
    },
  },
  validate = function(config)
    if not config.route:find("^/[%w/._-]*$") or #config.route > 256 then return nil, "route has to be a path, as /table" end
  end,
  start = function(config)
    settings = config
    berth.events(function(event)
      local kind = event.type:gsub("[^%w.-]", "?")
      counts[kind] = (counts[kind] or 0) + 1
    end)
    berth.route {
      method = "GET", path = config.route, summary = "Numbers of events.",
      handle = function()
        last = berth.now()
        return 200, table_of_counts(), { ["content-type"] = "text/plain; charset=utf-8" }
      end,
    }
  end,
}
