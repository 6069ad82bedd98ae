/** The sizes in bytes of the files downloaded to work on the device; scripts/on-device.js makes them. */
declare const ON_DEVICE_SIZES: { readonly model: number; readonly marks: number; readonly runtime: number };
