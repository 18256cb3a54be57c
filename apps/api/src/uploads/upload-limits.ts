import type { UploadLimits } from '@tritforge/store';
import type { ApiConfig } from '../config.js';

/** What a project may have of uploads at a time, whichever way they come. */
export function uploadLimits(config: ApiConfig): UploadLimits {
  return {
    maxUploads: config.maxProjectUploads,
    maxTotalBytes: config.maxProjectUploadBytes,
    lifetimeSeconds: config.uploadLifetimeSeconds,
  };
}
