-- @NAME@: what happens in Berth, and messages, posted to an address as JSON; the server makes the requests.
local settings, dropped, failing = {}, 0, ""

local function deliver(line)
  berth.http {
    method = "POST", url = settings.url, timeout_ms = 10000,
    headers = { ["content-type"] = "application/json" }, body = berth.json.encode(line),
    done = function(code, message, status)
      local fine = code == "ok" and status < 300
      failing = fine and "" or (code == "ok" and "the receiver answers with status " .. status or "the receiver does not take lines")
      if not fine then dropped = dropped + 1 end
    end,
  }
end

return {
  id = "@NAME@", version = "0.1.0", license = "@LICENSE@", summary = "Events and messages as JSON to an address.",
  needs = { "berth.host.events/1", "berth.host.http/1" },
  config = { { name = "url", type = "string", required = true, secret = true, doc = "Where lines are posted to, http:// or https://." } },
  interfaces = {
    ["berth.chat/1"] = {
      send = function(op, request)
        if (request.text or "") == "" then return berth.finish(op, "invalid", "a message needs a text") end
        deliver { message = request.text, severity = request.severity }
        berth.finish(op, "ok", nil, { queued = true })
      end,
      probe = function(op)
        berth.finish(op, "ok", nil, { status = failing == "" and "ok" or "failing", queued = 0, dropped = dropped, detail = failing })
      end,
    },
  },
  validate = function(config)
    if not config.url:find("^https?://[%w%[]") or config.url:find("[%s%c]") then
      return nil, "url has to begin with http:// or https:// and to name a host"
    end
  end,
  start = function(config)
    settings = config
    berth.events(function(event) deliver { type = event.type, message = event.message } end)
  end,
  reload = function(config) settings = config end,
}
