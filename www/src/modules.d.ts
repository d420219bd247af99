/** The live page, put together by the build. */
declare module "edgepool-page" {
  const page: { html: string; policy: string; icon: string };
  export default page;
}

declare module "cloudflare:workers" {
  export const env: unknown;

  export abstract class DurableObject {
    constructor(ctx: unknown, env: unknown);
  }
}

declare module "*.css" {}
