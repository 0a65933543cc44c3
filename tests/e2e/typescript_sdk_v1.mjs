// A client on @modelcontextprotocol/sdk (the TypeScript SDK, v1), unmodified.
//
//   node typescript_sdk_v1.mjs <url of the gateway>

import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

import { takeCourse } from './typescript_course.mjs';

const [url] = process.argv.slice(2);

await takeCourse({
  name: 'TypeScript SDK v1',
  transport: (authProvider, fetch) => new StreamableHTTPClientTransport(new URL(url), { authProvider, fetch }),
  client: () => new Client({ name: 'typescript-sdk-v1', version: '0' }),
  finish: (transport, cameBack) => transport.finishAuth(cameBack.searchParams.get('code')),
  call: (client, params, options) => client.callTool(params, undefined, options),
  revision: (_client, transport) => transport.protocolVersion,
  Unauthorized: UnauthorizedError,
});
