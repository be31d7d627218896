-- Images come from places that we know, and with a tag that means something.
-- "*" is any run of characters but "/", "**" any run at all.
local allowed = {
  "docker.io/library/*",      -- Docker's official images
  "docker.io/berth-sample/*", -- the quickstart's own
  "registry.example.com/**",  -- put your registry here
}

return {
  name = "allowed-registries",
  description = "images from known registries only, never by a moving tag in production",

  validate_service = function(svc, ctx)
    if not svc.image then
      return -- it is built from source here
    end
    local ref = image(svc.image)
    if not ref then
      deny("\"" .. svc.image .. "\" is no image reference")
      return
    end
    local known = false
    for _, pattern in ipairs(allowed) do
      known = known or glob(pattern, ref.name)
    end
    if not known then
      deny("images of " .. ref.domain .. " are not allowed (" .. ref.name .. "); allowed are " .. table.concat(allowed, ", "))
    end
    if not ref.digest and (ref.tag or "latest") == "latest" then
      if ctx.namespace == "production" then
        deny("\"latest\" changes under your feet: name a version or a digest")
      else
        warn("runs \"latest\": name a version or a digest")
      end
    end
  end,
}
