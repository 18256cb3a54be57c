/** A way to quantize with onnxruntime's own tools, as `quantize.py` takes it. */
export type PeerSetting =
  | {
      readonly tool: 'static';
      readonly calibrate: 'MinMax' | 'Entropy' | 'Percentile';
      /** Operators to quantize, all that the tool knows when left out. */
      readonly operators?: readonly string[];
    }
  | {
      readonly tool: 'nbits';
      /** `gptq-mended` is not the tool as it is: see quantize.py. */
      readonly algorithm: 'rtn' | 'hqq' | 'gptq' | 'gptq-mended';
      readonly bits: 4 | 2;
      readonly block: 32 | 64;
    };

/** All that are compared. */
export const PEER_SETTINGS: readonly PeerSetting[] = [
  ...[{}, { operators: ['Conv', 'Gemm', 'MatMul'] }].flatMap((only) =>
    (['MinMax', 'Entropy', 'Percentile'] as const).map((calibrate) => ({
      tool: 'static' as const,
      calibrate,
      ...only,
    })),
  ),
  ...([4, 2] as const).flatMap((bits) =>
    ([32, 64] as const).flatMap((block) =>
      (['rtn', 'hqq', 'gptq', 'gptq-mended'] as const).map((algorithm) => ({
        tool: 'nbits' as const,
        algorithm,
        bits,
        block,
      })),
    ),
  ),
];

const ALGORITHM_NAMES = { rtn: 'RTN', hqq: 'HQQ', gptq: 'GPTQ as shipped', 'gptq-mended': 'GPTQ mended' } as const;

/** A setting in words. */
export function settingName(setting: PeerSetting): string {
  if (setting.tool === 'static') {
    const only = setting.operators === undefined ? '' : `, ${setting.operators.join('/')} only`;
    return `static int8 QDQ, per channel, ${setting.calibrate}${only}`;
  }
  const { algorithm, bits, block } = setting;
  return `MatMulNBits, ${ALGORITHM_NAMES[algorithm]}, ${bits} bits, blocks of ${block}`;
}
