-- tools/call with a JSON-RPC id of its own for every request. Environment: BENCH_ERA, BENCH_TOOL, BENCH_TOKEN,
-- BENCH_CHECK (look into every body; slows wrk down, so only in rounds that are not timed).
local era = os.getenv("BENCH_ERA")
local tool = os.getenv("BENCH_TOOL")
local token = os.getenv("BENCH_TOKEN")
local version = era == "modern" and "2026-07-28" or "2025-11-25"

local headers = {
  ["Content-Type"] = "application/json",
  ["Accept"] = "application/json, text/event-stream",
  ["MCP-Protocol-Version"] = version,
}
if token ~= nil and token ~= "" then headers["Authorization"] = "Bearer " .. token end

local meta = ""
if era == "modern" then
  headers["Mcp-Method"] = "tools/call"
  headers["Mcp-Name"] = tool
  meta = '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    .. '"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},'
    .. '"io.modelcontextprotocol/clientCapabilities":{}},'
end

local front = '{"jsonrpc":"2.0","id":'
local back = ',"method":"tools/call","params":{"name":"' .. tool .. '",' .. meta
  .. '"arguments":{"text":"0123456789 0123456789 0123456789 0123456789"}}}'
local number = 0

function request()
  number = number + 1
  return wrk.format("POST", nil, headers, front .. number .. back)
end

if os.getenv("BENCH_CHECK") == "1" then
  wrong = 0
  local seen = {}
  function response(status, _, body)
    local id = string.match(body, '"id":(%d+)')
    if status ~= 200 or id == nil or seen[id] or not string.find(body, '"isError":false', 1, true)
      or not string.find(body, "quick brown fox", 1, true) then
      wrong = wrong + 1
    else
      seen[id] = true
    end
  end
end

local threads = {}
function setup(thread) table.insert(threads, thread) end

function done(summary, latency, _)
  local wrong_bodies = 0
  for _, thread in ipairs(threads) do wrong_bodies = wrong_bodies + (tonumber(thread:get("wrong")) or 0) end
  local e = summary.errors
  io.write(string.format(
    'RAW {"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f,"not_2xx":%d,"socket_errors":%d,"wrong_bodies":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, e.status, e.connect + e.read + e.write + e.timeout, wrong_bodies))
end
