-- Finishes nothing. For tests of berth-plugin-check.
return {
  id = "chat-bad", version = "1.0.0", summary = "Breaks one rule.", license = "MIT",
  interfaces = {
    ["berth.chat/1"] = {
      send = function() end,
    },
  },
}
