-- chat-greeter: a chat plug-in in Lua. It tells what happens to apps, as JSON to an address or as lines of the server's log.
--   - path: /etc/berth/plugins/greeter.lua
--     config: {url: "http://chat.example/hook"}
local settings, sent, dropped, failing = {}, 0, 0, nil

local function deliver(text, done)
  if settings.url == "" then
    berth.log("info", text)
    sent = sent + 1
    return done("ok")
  end
  berth.http {
    method = "POST", url = settings.url, timeout_ms = 10000,
    headers = { ["content-type"] = "application/json" },
    body = berth.json.encode({ text = text }),
    done = function(code, message, status)
      local fine = code == "ok" and status < 300
      failing = not fine and (code == "ok" and "it answers with status " .. status or message) or nil
      if fine then sent = sent + 1 else dropped = dropped + 1 end
      berth.kv.put("sent", tostring(sent))
      done(fine and "ok" or "unavailable", failing)
    end,
  }
end

return {
  id = "chat-greeter", version = "1.0.0", license = "MIT",
  summary = "What happens to apps, to an address or the log.",
  needs = { "berth.host.events/1", "berth.host.http/1", "berth.host.kv/1" },
  config = {
    { name = "url", type = "string", default = "", doc = "Where notices are posted; empty: lines of the log." },
    { name = "greeting", type = "string", default = "berth: ", doc = "Stands in front of each notice." },
  },
  interfaces = {
    ["berth.chat/1"] = {
      send = function(op, request)
        if not request.text then return berth.finish(op, "invalid", "a message needs a text") end
        deliver(settings.greeting .. request.text, function(code, message)
          berth.finish(op, code, message, { queued = true })
        end)
      end,
      probe = function(op)
        berth.finish(op, "ok", nil, { status = failing and "failing" or "ok", queued = 0, dropped = dropped, detail = failing or "" })
      end,
    },
  },
  start = function(config)
    settings = config
    berth.kv.scan("sent", function(_, _, values) sent = tonumber(values.sent) or 0 end)
    berth.events(function(event)
      if event.type:find("^app%.") then deliver(settings.greeting .. event.message, function() end) end
    end)
  end,
  reload = function(config) settings = config end,
}
