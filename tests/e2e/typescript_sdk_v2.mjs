// A client on @modelcontextprotocol/client (the TypeScript SDK, v2), unmodified.
//
//   node typescript_sdk_v2.mjs <url of the gateway> <legacy | auto>

import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';

import { takeCourse } from './typescript_course.mjs';

const [url, mode] = process.argv.slice(2);

await takeCourse({
  name: `TypeScript SDK v2 ${mode}`,
  transport: (authProvider, fetch) => new StreamableHTTPClientTransport(new URL(url), { authProvider, fetch }),
  client: () => new Client({ name: 'typescript-sdk-v2', version: '0' }, { versionNegotiation: { mode } }),
  finish: (transport, cameBack) => transport.finishAuth(cameBack.searchParams),
  call: (client, params, options) => client.callTool(params, options),
  revision: (client) => client.getNegotiatedProtocolVersion(),
  Unauthorized: UnauthorizedError,
});
