//! The bytes of AMQP 0-9-1 with RabbitMQ's extensions: frames, methods, content headers.
//!
//! Everything here turns bytes into values or values into bytes. There is no I/O and no rule about which method may
//! come when: that belongs to whoever holds a connection. Server, client, tests and fuzz targets share this crate.
//!
//! The way of incoming bytes: [`ProtocolHeader`] reads the first eight, then [`next_frame`] finds frames in whatever
//! was read, without copying. A method frame's payload goes to [`Method::decode`], or for the few methods of the
//! message path to the parsers in [`hot`], which allocate nothing. A header frame's payload goes to
//! [`ContentHeader::decode`], whose properties stay encoded until somebody asks.
//!
//! ```
//! use amqp_wire::{FrameKind, Method, channel, next_frame};
//!
//! let mut out = Vec::new();
//! Method::from(channel::CloseOk {}).encode_frame(&mut out, 7);
//!
//! let frame = next_frame(&out, 0, 131_072)?.expect("the frame is whole");
//! assert_eq!((frame.kind, frame.channel), (FrameKind::Method, 7));
//! assert_eq!(Method::decode(&out[frame.payload])?.name(), "channel.close-ok");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod content;
mod erlang_text;
mod frame;
pub mod hot;
mod methods;
mod protocol_header;
mod reply_code;

pub use content::{ContentError, ContentHeader};
pub use erlang_text::{ErlangBinary, ErlangValue};
pub use field_table::{RawEntries, RawValue, ShortString, Table, TableError, Value};
pub use frame::{
    FRAME_END, FRAME_MAX_BEFORE_TUNE, FRAME_OVERHEAD_BYTES, Frame, FrameError, FrameKind, FrameScanner,
    PayloadSnippet, announced_frame_bytes, encode_frame, next_frame,
};
pub use message_properties::{Properties, PropertiesError, PropertiesView, Property, PropertyFlags};
pub use methods::{
    ArgumentError, ArgumentKind, ArgumentReader, ArgumentSpec, ArgumentWriter, Method, MethodArguments,
    MethodError, MethodId, MethodSpec, access, basic, channel, confirm, connection, exchange, queue, tx,
};
pub use protocol_header::ProtocolHeader;
pub use reply_code::{ReplyCode, Scope};
