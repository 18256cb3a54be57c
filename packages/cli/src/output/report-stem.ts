import type { Report } from '@tritforge/contracts';

/**
 * What the files of a report, as JSON and as a page, are named by: as the artifacts, without their profile.
 * @param fallback where there are no artifacts
 */
export function reportStem({ artifacts }: Report, fallback: string): string {
  const { fileName, profile } = artifacts[0] ?? { fileName: fallback, profile: '' };
  return fileName.replace(/\.onnx$/, '').replace(`.${profile}`, '');
}
