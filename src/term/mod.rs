//! The terminal, without a terminal: bytes become keys, keys become a line, a line becomes the
//! bytes that repaint it.
//!
//! Pure text in, text out. Nothing here opens, reads or writes anything; the runtime's console
//! does, and hands the bytes in.

mod cluster;
mod fold;
mod keys;
mod line;
mod paint;
mod screen;

pub use keys::{Key, Keys};
pub use line::{Act, Editor};
pub use paint::{Paint, Painted};
pub use screen::Screen;
