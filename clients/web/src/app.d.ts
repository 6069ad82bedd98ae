/** The sizes in bytes of what removing on the device downloads; scripts/on-device.js makes it. */
declare const ON_DEVICE_SIZES: { readonly model: number; readonly runtime: number };
