import type { Versions } from '@tritforge/quant-core/versions';

/** One line each: the program, onnxruntime, the kernels; and where those are not native, each sentence of why and what to do. */
export function versionText(program: string, { onnxruntime, kernels }: Versions): string {
  const why = kernels.reason === null ? [] : kernels.reason.split(/(?<=\.) /).map((sentence) => `  ${sentence}`);
  return [`tritforge ${program}`, `onnxruntime ${onnxruntime}`, `kernels ${kernels.implementation}`, ...why, ''].join(
    '\n',
  );
}
