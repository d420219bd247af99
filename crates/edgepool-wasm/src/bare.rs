//! What the module has instead of `std`, which would be a third of it: memory, and an end for what
//! panics. It has nobody to tell why.

use core::arch::wasm32;
use core::panic::PanicInfo;

use rlsf::SmallGlobalTlsf;

#[global_allocator]
static MEMORY: SmallGlobalTlsf = SmallGlobalTlsf::new();

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    wasm32::unreachable()
}
