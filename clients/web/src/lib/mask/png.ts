import { encodePng } from '../image/png';
import type { Mask } from './mask';

/** Encode a mask as an 8-bit greyscale PNG. */
export function encodeMask({ width, height, data }: Mask): Promise<Blob> {
	return encodePng({ width, height, channels: 1, data }, 'none');
}
