import { extensionOf, type FileType } from './file-type';

/** `beach.jpg` → `beach-filled.png`. A name that already ends in `-filled` stays the same. */
export function filledName(photoName: string, type: FileType): string {
	return `${stem(photoName)}-filled.${extensionOf(type)}`;
}

/** `beach.jpg` → `beach-mask.png`. */
export function maskName(photoName: string): string {
	return `${stem(photoName)}-mask.png`;
}

function stem(name: string): string {
	return name.replace(/\.[^.]*$/, '').replace(/-filled$/, '') || 'photo';
}
