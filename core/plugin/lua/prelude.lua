-- What a script sees as "berth", and what the server's messages become: the wire (plugin-api/docs/wire.md) in terms of functions.
-- Runs before the script, outside its sandbox. The program gives it: send(type, members, bytes), array, null, encode, decode,
-- now() in ms, wall(). It returns the table "berth" and a table of what the program calls.
local send, array, null, encode, decode, now, wall = ...
local berth = { null = null, array = array, json = { encode = encode, decode = decode }, now = wall, services = {} }
local plugin
local running = {}  -- operations that are not finished
local given_up = {} -- those that were finished here when their callers gave up: the script does not know
local waiting = {}  -- by id of what was asked: a function, or a table for what has more than one answer
local timers = {}
local last_id = 0

-- raised: an error that nobody caught. The server has a line of its log of it, berth-plugin-check a failure.
local function complain(where, why, raised)
  send("log", { level = "error", text = where .. ": " .. tostring(why), raised = raised })
end

-- Calls something of the script's; its errors end nothing but this call.
local function try(where, fn, ...)
  local result = table.pack(pcall(fn, ...))
  if not result[1] then complain(where, result[2], true) end
  return table.unpack(result, 1, result.n)
end

local function ask(type, members, bytes, answer)
  last_id = last_id + 1
  waiting[last_id] = answer
  members.id = last_id
  send(type, members, bytes)
  return last_id
end

local function check(value, kind, what)
  if type(value) ~= kind then error(what .. " must be a " .. kind .. ", not a " .. type(value), 3) end
  return value
end

-- Functions for scripts -----------------------------------------------------------------------------------------------

function berth.finish(op, code, message, result)
  if given_up[op] then
    given_up[op] = nil
    return
  end
  if not running[op] then error("this operation is not running (finished already?)", 2) end
  local head = { op = op, code = code or "ok", message = message }
  local bytes
  if type(result) == "string" then bytes = result else head.result = result end
  send("finish", head, bytes)
  running[op] = nil
end

function berth.emit(op, channel, bytes)
  if running[op] then send("emit", { op = op, channel = channel }, bytes) end
end

function berth.log(level, text)
  if text == nil then level, text = "info", level end
  send("log", { level = level, text = tostring(text) })
end

function berth.after(ms, fn)
  check(fn, "function", "the second argument of berth.after")
  last_id = last_id + 1
  timers[last_id] = { at = now() + check(ms, "number", "the first argument of berth.after"), fn = fn }
  return last_id
end

function berth.forget(id)
  timers[id] = nil
end

function berth.publish(kind, severity, message, data)
  send("events.publish", { type = kind, severity = severity, message = message, data_json = data and encode(data) })
end

function berth.metric(sample)
  send("metrics.set", sample)
end

function berth.events(fn, after)
  check(fn, "function", "the first argument of berth.events")
  return ask("events.subscribe", { after = after or 0 }, nil, { event = fn })
end

function berth.unsubscribe(id)
  waiting[id] = nil
  send("events.unsubscribe", { id = id })
end

local function answered(fn)
  return { once = true, reply = function(m, bytes) if fn then fn(m.code, m.message or "", bytes) end end }
end

berth.kv = {}
function berth.kv.put(key, value, fn) return ask("kv.put", { key = key }, value, answered(fn)) end
function berth.kv.delete(key, fn) return ask("kv.put", { key = key, delete = true }, nil, answered(fn)) end
function berth.kv.scan(prefix, fn)
  return ask("kv.scan", { prefix = prefix }, nil, { once = true, reply = function(m, bytes)
    local values, at = {}, 1
    for i, key in ipairs(m.keys or {}) do
      values[key] = bytes:sub(at, at + m.sizes[i] - 1)
      at = at + m.sizes[i]
    end
    fn(m.code, m.message or "", values)
  end })
end

function berth.secret(name, fn) return ask("secret.get", { name = name }, nil, answered(fn)) end
function berth.query(path, fn)
  return ask("query.get", { path = path }, nil, answered(function(code, message, bytes)
    fn(code, message, code == "ok" and decode(bytes) or nil)
  end))
end

local function pairs_of(headers)
  if not headers or headers[1] then return headers end
  local list = array({})
  for name, value in pairs(headers) do list[#list + 1] = { name, tostring(value) } end
  return list
end

local function map_of(headers)
  local map = {}
  for _, pair in ipairs(headers or {}) do map[pair[1]:lower()] = pair[2] end
  return map
end

function berth.http(request)
  check(request.url, "string", "url")
  local head, headers, done = {}, {}, request.done
  for name, value in pairs(request) do
    if name ~= "done" and name ~= "body" then head[name] = value end
  end
  head.headers = pairs_of(request.headers)
  head.stream, head.upload = nil, nil
  head.body = request.body ~= nil or nil
  return ask("http.request", head, request.body, {
    head = function(m) headers = map_of(m.headers) end,
    done = function(m, bytes)
      waiting[m.id] = nil
      if done then done(m.code, m.message or "", m.status or 0, bytes, headers) end
    end })
end

function berth.http_cancel(id) send("http.cancel", { id = id }) end

function berth.route(route)
  check(route.handle, "function", "handle")
  local head = { method = route.method, path = route.path, summary = route.summary, open = route.open }
  return ask("routes.add", head, nil, { request = route.handle, reply = function(m)
    if m.code ~= "ok" then complain("route " .. tostring(route.path), m.message) end
  end })
end

-- Messages of the server ----------------------------------------------------------------------------------------------

local on = {}

function on.ping(m) send("pong", { id = m.id }) end

-- A step of the script's: nothing means fine; nil and a sentence, or an error, refuse.
local function step(name, fn, config)
  if not fn then return "ok" end
  local fine, result, why = pcall(fn, config)
  if not fine then return "internal", tostring(result), name end
  if why or result == false then return "invalid", tostring(why or "refused without a reason"), name end
  return "ok"
end

local function configure(m, fn, name)
  local code, message, where = step("config", plugin.validate, m.config)
  if code == "ok" and fn then code, message, where = step(name, fn, m.config) end
  send("done", { id = m.id, code = code, message = message, step = where })
end

function on.validate(m) configure(m) end
function on.reload(m) configure(m, plugin.reload, "reload") end
function on.start(m)
  berth.name, berth.version = m.name, m.version
  for _, id in ipairs(m.services or {}) do berth.services[id] = true end
  configure(m, plugin.start, "start")
end

function on.stop(m)
  if plugin.stop then try("stop", plugin.stop) end
  send("done", { id = m.id, code = "ok" })
  return true
end

function on.call(m, bytes)
  local methods = plugin.interfaces[m.interface] or {}
  local method = methods[m.method]
  running[m.op] = true
  if not method then return berth.finish(m.op, "unsupported") end
  local fine, why = try(m.method, method, m.op, m.args or {}, bytes)
  if not fine and running[m.op] then berth.finish(m.op, "internal", tostring(why)) end
end

function on.cancel(m)
  if running[m.op] and plugin.cancel then
    try("cancel", plugin.cancel, m.op)
  elseif running[m.op] then
    berth.finish(m.op, "cancelled", "its caller gave up")
    given_up[m.op] = true
  end
end

function on.ask(m)
  local method = (plugin.interfaces[m.interface] or {})[m.method]
  local fine, yes = try(m.method, method or error, m.args or {})
  send("done", { id = m.id, code = fine and "ok" or "internal", yes = fine and yes and true or false })
end

-- Input that no script takes: it is let go, so that its sender does not wait.
function on.speak(m, bytes)
  if m.input ~= nil then send("taken", { op = m.op, bytes = #bytes, waiting = 0 }) end
end

function on.event(m)
  local subscription = waiting[m.id]
  if subscription and subscription.event then try("an event", subscription.event, m) end
  send("events.taken", { id = m.id, count = 1 })
end

function on.reply(m, bytes)
  local asked = waiting[m.id]
  if asked and asked.once then waiting[m.id] = nil end
  if asked and asked.reply then try("an answer", asked.reply, m, bytes) end
end

on["http.head"] = function(m) if waiting[m.id] then waiting[m.id].head(m) end end
on["http.done"] = function(m, bytes) if waiting[m.id] then try("an answer", waiting[m.id].done, m, bytes) end end

function on.request(m, bytes)
  local route = waiting[m.id]
  m.headers, m.body = map_of(m.headers), bytes
  local fine, status, body, headers = try("a request", route and route.request or error, m)
  if not fine then status, body, headers = 500, "", nil end
  send("respond", { op = m.op, status = status or 200, headers = pairs_of(headers) or array({}) }, body)
end

-- What the program calls ----------------------------------------------------------------------------------------------

local calls = {}

-- A message; true: the plug-in has stopped. Types that are not known are of a newer server.
function calls.message(m, bytes)
  local fn = on[m.t]
  return fn and fn(m, bytes)
end

-- Runs what is due; returns the ms until the next, or nil.
function calls.tick()
  local due, soonest = {}, nil
  for id, timer in pairs(timers) do
    if timer.at <= now() then due[#due + 1] = id end
  end
  table.sort(due)
  for _, id in ipairs(due) do
    local timer = timers[id]
    timers[id] = nil
    if timer then try("a timer", timer.fn) end
  end
  for _, timer in pairs(timers) do
    if not soonest or timer.at < soonest then soonest = timer.at end
  end
  return soonest and math.max(0, math.ceil(soonest - now()))
end

local passed_on = { "id", "version", "summary", "license", "needs", "depends", "exclusive", "conflicts", "products" }

-- Takes the script's table and introduces it to the server.
function calls.introduce(value)
  if type(value) ~= "table" then error("it must return a table: {id = …, version = …, interfaces = …}", 0) end
  plugin = value
  plugin.interfaces = plugin.interfaces or {}
  local manifest = { abi = 1, interfaces = array({}), config = array({}) }
  for _, name in ipairs(passed_on) do manifest[name] = plugin[name] end
  for id, methods in pairs(plugin.interfaces) do
    local names = array({})
    for name in pairs(methods) do names[#names + 1] = name end
    table.sort(names)
    table.insert(manifest.interfaces, { id = id, methods = names })
  end
  table.sort(manifest.interfaces, function(a, b) return a.id < b.id end)
  for i, field in ipairs(plugin.config or {}) do
    local copy = {}
    for name, x in pairs(field) do copy[name] = x end
    if copy.default ~= nil then copy.default = type(copy.default) == "table" and encode(copy.default) or tostring(copy.default) end
    manifest.config[i] = copy
  end
  send("hello", { wire = 1, reload = plugin.reload ~= nil, validate = plugin.validate ~= nil, manifest = manifest })
end

return berth, calls
