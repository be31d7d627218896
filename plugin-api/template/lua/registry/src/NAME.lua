-- @NAME@: the login of one registry, and what an image with a digest is.
-- What it does not do yet: ask the registry what a tag means. With berth.http and the OCI distribution specification
-- (HEAD /v2/<name>/manifests/<tag>) that is the next thing to write.
local settings = {}

local function ours(image)
  local registry = settings.registry .. "/"
  return (image or ""):sub(1, #registry) == registry
end

local function resolve(op, request)
  local digest = (request.image or ""):match("@(sha256:%x+)$")
  if not ours(request.image) then return berth.finish(op, "invalid", "the image is not of this entry's registry") end
  if not digest then
    return berth.finish(op, "unsupported", "@NAME@ does not ask the registry what a tag means: name the image with its digest")
  end
  berth.finish(op, "ok", nil, { digest = digest })
end

local function credentials(op, request)
  if not ours(request.image) then return berth.finish(op, "invalid", "the image is not of this entry's registry") end
  if settings.username == "" then return berth.finish(op, "ok") end -- anonymous
  berth.finish(op, "ok", nil, { username = settings.username, password = settings.password, server = settings.registry })
end

return {
  id = "@NAME@", version = "0.1.0", license = "@LICENSE@", summary = "The login of one registry.",
  config = {
    { name = "registry", type = "string", required = true, doc = "Its name and port, as images begin." },
    { name = "username", type = "string", default = "", doc = "Of the login; none: anonymous." },
    { name = "password", type = "string", default = "", secret = true, doc = "Of the login." },
  },
  interfaces = {
    ["berth.registry/1"] = {
      serves = function(request) return ours(request.image) end, -- answered at once: it has no operation
      resolve = resolve,
      credentials = credentials,
      probe = function(op)
        berth.finish(op, "ok", nil, { registries = { { name = settings.registry, status = "unknown", detail = "nobody asks it yet" } } })
      end,
    },
  },
  validate = function(config)
    if not config.registry:find("^[%w._:-]+$") or not config.registry:find("[.:]") then
      return nil, "registry has to be a name and perhaps a port, as registry.example:5000"
    end
  end,
  start = function(config) settings = config end,
  reload = function(config) settings = config end,
}
