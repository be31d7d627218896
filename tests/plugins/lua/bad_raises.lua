-- Does not look at what it is given. For tests of berth-plugin-check.
return {
  id = "chat-bad", version = "1.0.0", summary = "Breaks one rule.", license = "MIT",
  interfaces = {
    ["berth.chat/1"] = {
      send = function(op, request) berth.finish(op, "ok", nil, { queued = request.text:upper() ~= "" }) end,
    },
  },
}
