-- One kind of request, each with a JSON-RPC id of its own. Environment:
--   BENCH_ERA       modern or legacy
--   BENCH_METHOD    tools/call or tools/list
--   BENCH_TOOLS     names of tools, separated by commas: called in turn
--   BENCH_CURSOR    of the page that tools/list asks for; empty for the first
--   BENCH_PROGRESS  1: ask for progress
--   BENCH_TOKEN     bearer token; empty for none
--   BENCH_SESSIONS  legacy sessions, separated by commas: used in turn; empty for none
--   BENCH_CHECK     1: look into every body; slows wrk down, so only in rounds that are not timed
local era = os.getenv("BENCH_ERA")
local method = os.getenv("BENCH_METHOD")
local token = os.getenv("BENCH_TOKEN") or ""
local cursor = os.getenv("BENCH_CURSOR") or ""
local progress = os.getenv("BENCH_PROGRESS") == "1"

local function split(text)
  local found = {}
  for part in string.gmatch(text or "", "[^,]+") do table.insert(found, part) end
  return found
end

local tools = split(os.getenv("BENCH_TOOLS"))
local sessions = split(os.getenv("BENCH_SESSIONS"))

local function headers_for(tool, session)
  local headers = {
    ["Content-Type"] = "application/json",
    ["Accept"] = "application/json, text/event-stream",
    ["MCP-Protocol-Version"] = era == "modern" and "2026-07-28" or "2025-11-25",
  }
  if token ~= "" then headers["Authorization"] = "Bearer " .. token end
  if session ~= nil then headers["Mcp-Session-Id"] = session end
  if era == "modern" then
    headers["Mcp-Method"] = method
    if tool ~= nil then headers["Mcp-Name"] = tool end
  end
  return headers
end

local function meta_for(id)
  local members = {}
  if progress then table.insert(members, '"progressToken":' .. id) end
  if era == "modern" then
    table.insert(members, '"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
      .. '"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},'
      .. '"io.modelcontextprotocol/clientCapabilities":{}')
  end
  if #members == 0 then return "" end
  return '"_meta":{' .. table.concat(members, ",") .. '}'
end

local function params_for(id, tool)
  local members = {}
  local meta = meta_for(id)
  if tool ~= nil then table.insert(members, '"name":"' .. tool .. '"') end
  if meta ~= "" then table.insert(members, meta) end
  if cursor ~= "" then table.insert(members, '"cursor":"' .. cursor .. '"') end
  if tool ~= nil then
    table.insert(members, '"arguments":{"text":"0123456789 0123456789 0123456789 0123456789"}')
  end
  return "{" .. table.concat(members, ",") .. "}"
end

-- What does not change from request to request is made once: the ends of bodies without a progress token, and heads.
local ends, heads = {}, {}
local function prepare(list)
  for index = 1, math.max(#list, 1) do
    ends[index] = ',"method":"' .. method .. '","params":' .. params_for(0, list[index]) .. "}"
    heads[index] = {}
    for turn = 1, math.max(#sessions, 1) do heads[index][turn] = headers_for(list[index], sessions[turn]) end
  end
end
if method == "tools/list" then tools = {} end
prepare(tools)

local number = 0
function request()
  number = number + 1
  local index = (number - 1) % #ends + 1
  local turn = (number - 1) % #heads[index] + 1
  local back = ends[index]
  if progress then back = ',"method":"' .. method .. '","params":' .. params_for(number, tools[index]) .. "}" end
  return wrk.format("POST", nil, heads[index][turn], '{"jsonrpc":"2.0","id":' .. number .. back)
end

local function good(status, body, seen)
  local result = string.match(body, '"id":%s*(%d+)')
  if status ~= 200 or result == nil or seen[result] then return false end
  seen[result] = true
  if string.find(body, '"isError":%s*true') or string.find(body, '"error":%s*{') then return false end
  if method == "tools/list" then return string.find(body, '"tools":%s*%[%s*{') ~= nil end
  if progress and not string.find(body, "notifications/progress", 1, true) then return false end
  return string.find(body, "quick brown fox", 1, true) ~= nil
end

if os.getenv("BENCH_CHECK") == "1" then
  wrong = 0
  example = ""
  local seen = {}
  function response(status, _, body)
    if not good(status, body, seen) then
      wrong = wrong + 1
      example = status .. " " .. string.sub(body, 1, 300)
    end
  end
end

local threads = {}
function setup(thread) table.insert(threads, thread) end

function done(summary, latency, _)
  local wrong_bodies = 0
  for _, thread in ipairs(threads) do
    local count = tonumber(thread:get("wrong")) or 0
    wrong_bodies = wrong_bodies + count
    if count > 0 then io.write("WRONG " .. string.gsub(thread:get("example"), "%s+", " ") .. "\n") end
  end
  local e = summary.errors
  io.write(string.format(
    'RAW {"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f,"not_2xx":%d,"socket_errors":%d,"wrong_bodies":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, e.status, e.connect + e.read + e.write + e.timeout, wrong_bodies))
end
