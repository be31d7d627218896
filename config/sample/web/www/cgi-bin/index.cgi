#!/bin/sh
# The page: who answered, and the number of visits that the store keeps.
if answer=$(timeout 5 wget -q -O - http://api:8000/cgi-bin/visit); then
  count=${answer%% *} api=${answer##* } status="200 OK"
else
  count="?" api="nobody" status="502 Bad Gateway"
fi
version=$(cat /www/version)
echo "visit $count, counted by $api" >&2 # what "berth logs" shows
printf 'Status: %s\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n\r\n' "$status"
cat <<PAGE
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>The shop, under Berth</title>
<style>
  :root { color-scheme: light dark; --ink: #16324f; --paper: #f4f1ea; --sea: #2a6f97; --card: #fff }
  @media (prefers-color-scheme: dark) { :root { --ink: #e8eef4; --paper: #0d1b2a; --sea: #61a5c2; --card: #1b2a3d } }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--paper); color: var(--ink);
         font: 17px/1.5 system-ui, sans-serif }
  main { width: min(34rem, 90vw); background: var(--card); border-radius: 14px; padding: 2rem 2.5rem;
         box-shadow: 0 8px 30px #0002; border-top: 6px solid var(--sea) }
  h1 { margin: 0 0 .3rem; font-size: 1.5rem }
  b { display: block; font-size: 4.5rem; line-height: 1.1; color: var(--sea); font-variant-numeric: tabular-nums }
  dl { display: grid; grid-template-columns: auto 1fr; gap: .2rem 1.2rem; margin: 1.2rem 0 0; padding-top: 1rem;
       border-top: 1px solid #8884 }
  dd { margin: 0; font-family: ui-monospace, monospace }
</style>
<main>
  <h1>It works.</h1>
  <b>$count</b>
  visits so far, kept in the store's volume.
  <dl>
    <dt>page by</dt><dd>web $(hostname)</dd>
    <dt>counted by</dt><dd>api $api</dd>
    <dt>version</dt><dd>$version</dd>
  </dl>
</main>
</html>
PAGE
