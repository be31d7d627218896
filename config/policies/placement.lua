-- Where instances go: production stays off nodes that are only lent, a team's own nodes are the team's, and what needs a lot of memory
-- goes to large machines. Nodes say what they are with labels (node.labels of berthd.yaml).
local large = bytes("64g")

return {
  name = "placement",
  description = "spot nodes, nodes of teams, large machines",

  filter = function(service, node)
    if node.labels.lifecycle == "spot" and service.namespace == "production" then
      return false, "production does not run on spot nodes"
    end
    local team = node.labels.team
    if team and team ~= service.namespace then
      return false, "the node belongs to " .. team
    end
    return true
  end,

  score = function(service, node)
    local wants = service.resources.reservations.memory or 0
    local has = node.capacity.memory or 0
    if wants >= bytes("8g") and has >= large then
      return 100
    end
    if node.labels.lifecycle == "spot" then
      return 50 -- cheaper, for all that may run there
    end
    return 0
  end,
}
