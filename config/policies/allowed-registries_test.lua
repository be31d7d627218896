local digest = "@sha256:" .. ("a"):rep(64)

return {
  { name = "an official image", service = { image = "nginx:1.25" }, warn = false },
  { name = "spelt out", service = { image = "docker.io/library/nginx:1.25" } },
  { name = "our registry, any depth", service = { image = "registry.example.com/team/shop/web:2" } },
  { name = "another user's image", service = { image = "mallory/nginx:1.25" }, deny = "docker.io/mallory/nginx" },
  { name = "another registry", service = { image = "evil.example/nginx:1" }, deny = "images of evil.example are not allowed" },
  { name = "a look-alike", service = { image = "registry.example.com.evil.example/web:1" }, deny = true },
  { name = "latest is a warning", service = { image = "nginx" }, warn = "latest" },
  { name = "and refused in production", service = { image = "nginx:latest" }, context = { namespace = "production" },
    deny = "changes under your feet" },
  { name = "a digest is as firm as can be", service = { image = "nginx" .. digest }, context = { namespace = "production" } },
  { name = "built from source", service = { build = { context = "." } } },
  { name = "nonsense", service = { image = "UPPER CASE" }, deny = "no image reference" },
}
