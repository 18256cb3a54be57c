import type { Store } from '@tritforge/store';
import type { ApiConfig } from './config.js';
import type { Inspector } from './inspector.js';
import type { UploadDesk } from './uploads/upload-desk.js';

/** What the service runs on. */
export interface ApiDeps {
  readonly store: Store;
  readonly inspector: Inspector;
  readonly config: ApiConfig;
}

/** What routes work with. */
export interface RouteDeps extends ApiDeps {
  readonly uploads: UploadDesk;
}
