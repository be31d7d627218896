-- @NAME@: what a load balancer is to do, put to an address as JSON after each change; the server makes the requests.
local settings, pools, whole, failing = {}, {}, nil, ""

-- Puts all of it: who reads it needs to remember nothing.
local function put(op, result)
  local body = {}
  for name, value in pairs(whole) do body[name] = value end
  body.pools = berth.array {}
  for id, endpoints in pairs(pools) do
    local list = berth.array {}
    for _, endpoint in pairs(endpoints) do list[#list + 1] = endpoint end
    body.pools[#body.pools + 1] = { id = id, endpoints = list }
  end
  berth.http {
    method = "PUT", url = settings.url, timeout_ms = 10000,
    headers = { ["content-type"] = "application/json" }, body = berth.json.encode(body),
    done = function(code, _, status)
      failing = code == "ok" and status < 300 and "" or code == "ok" and "the balancer answers with status " .. status or "the balancer is away"
      berth.finish(op, failing == "" and "ok" or "unavailable", failing, result)
    end,
  }
end

-- An object with a list of objects under that name, or nil.
local function read(text, name)
  local value = berth.json.decode(text or "")
  if type(value) ~= "table" or type(value[name]) ~= "table" then return nil end
  for _, item in ipairs(value[name]) do
    if type(item) ~= "table" then return nil end
  end
  return value
end

local function apply(op, request)
  local given = read(request.state_json, "pools")
  if not given then return berth.finish(op, "invalid", "this is no object with a list of pools") end
  local fresh = {}
  for _, pool in ipairs(given.pools) do
    if type(pool.id) ~= "string" or type(pool.endpoints) ~= "table" then
      return berth.finish(op, "invalid", "a pool has an id and a list of endpoints")
    end
    fresh[pool.id] = {}
    for _, endpoint in ipairs(pool.endpoints) do
      if type(endpoint) == "table" then fresh[pool.id][tostring(endpoint.id)] = endpoint end
    end
  end
  given.pools = nil
  pools, whole = fresh, given
  put(op, { reloaded = false, refused = berth.array {} })
end

local function update(op, request)
  local given = read(request.changes_json, "changes")
  if not given then return berth.finish(op, "invalid", "this is no object with a list of changes") end
  for _, change in ipairs(given.changes) do
    local pool, id = pools[change.pool or ""], tostring(change.endpoint)
    if not pool then return berth.finish(op, "conflict", "there is no such pool: the whole state is needed") end
    if change.state == "gone" then
      pool[id] = nil
    else
      local endpoint = pool[id] or { id = id }
      for _, name in ipairs { "address", "port", "state", "weight" } do
        if change[name] ~= nil then endpoint[name] = change[name] end
      end
      pool[id] = endpoint
    end
  end
  if not whole then return berth.finish(op, "ok") end
  put(op, {})
end

local function drain(op, request)
  for _, endpoints in pairs(pools) do
    local endpoint = endpoints[request.endpoint or ""]
    if endpoint then endpoint.state = "drain" end
  end
  if not whole then return berth.finish(op, "ok", nil, { open = 0 }) end
  put(op, { open = 0 }) -- it does not know how many requests are open there
end

return {
  id = "@NAME@", version = "0.1.0", license = "@LICENSE@", summary = "Routes and endpoints as JSON to an address.",
  needs = { "berth.host.http/1" },
  config = { { name = "url", type = "string", required = true, doc = "Where the state is put to; key material is in it." } },
  interfaces = {
    ["berth.lb/1"] = {
      apply = apply, update = update, drain = drain,
      events = function() end, -- runs until it is cancelled
      probe = function(op)
        local detail = failing == "" and "the balancer takes what it is sent" or failing
        berth.finish(op, "ok", nil, { status = failing == "" and "ok" or "failing", detail = detail, version = "0.1.0" })
      end,
    },
  },
  validate = function(config)
    if not config.url:find("^https?://[%w%[]") or config.url:find("[%s%c]") then
      return nil, "url has to begin with http:// or https:// and to name a host"
    end
  end,
  start = function(config) settings = config end,
  reload = function(config) settings = config end,
}
