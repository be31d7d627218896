-- @NAME@: repositories of one Gitea, or of what has the same API. It tells where a branch stands.
-- What it does not do yet: tags, the files of a commit, and statuses. Repositories elsewhere are unsupported too: the server then asks
-- the next entry that implements berth.scm/1.
local settings, failing = {}, ""

-- "https://git.example/team/shop.git" -> "team/shop"; nil where it is not of this host.
local function name_of(repository)
  local base = settings.url .. "/"
  if (repository or ""):sub(1, #base) ~= base then return nil end
  return repository:sub(#base + 1):gsub("%.git$", ""):match("^[%w._-]+/[%w._-]+$")
end

local function resolve(op, request)
  local name, branch = name_of(request.repository), request.branch
  if not name then return berth.finish(op, "unsupported", "the repository is not of this entry's host") end
  if not branch then return berth.finish(op, "unsupported", "only branches are known here, by their name") end
  if not branch:find("^[%w._/-]+$") or branch:find("..", 1, true) then return berth.finish(op, "invalid", "this is no name of a branch") end
  berth.http {
    url = settings.url .. "/api/v1/repos/" .. name .. "/branches/" .. branch, timeout_ms = 10000, max_body = 1 << 20,
    done = function(code, _, status, body)
      local found = code == "ok" and status == 200 and berth.json.decode(body)
      local commit = type(found) == "table" and type(found.commit) == "table" and found.commit.id
      failing = code == "ok" and status < 500 and "" or "the host is away"
      if failing ~= "" then
        berth.finish(op, "unavailable", failing)
      elseif type(commit) == "string" and commit:find("^%x+$") and #commit >= 40 then
        berth.finish(op, "ok", nil, { commit = commit, ref = "refs/heads/" .. branch })
      else
        berth.finish(op, "not_found", "the repository has no branch of that name, or is not to be seen")
      end
    end,
  }
end

return {
  id = "@NAME@", version = "0.1.0", license = "@LICENSE@", summary = "Repositories of one Gitea.",
  needs = { "berth.host.http/1" },
  config = { { name = "url", type = "string", required = true, doc = "The host's address, https://git.example, without a slash at its end." } },
  interfaces = {
    ["berth.scm/1"] = {
      resolve = resolve,
      probe = function(op) berth.finish(op, "ok", nil, { status = failing == "" and "ok" or "failing", detail = failing }) end,
    },
  },
  validate = function(config)
    if not config.url:find("^https?://[%w.:%[%]-]+$") then return nil, "url has to be as https://git.example" end
  end,
  start = function(config) settings = config end,
  reload = function(config) settings = config end,
}
