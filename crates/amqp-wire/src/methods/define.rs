//! The macro that turns the table of methods into types and codec.

/// Makes, for each class, a module with a struct per method and an enum of them, and over all the enum `Method`.
///
/// A line is `Name = id, "class.name", { fields }`. A method with content says `content` behind its name. Arguments
/// that the protocol has retired stand as `reserved(types)` before or after the fields: they are skipped when read
/// and written as their default, and nobody else sees them. A field `as secret` shows only its length to `Debug`, so
/// that no log of a method can hold a password.
macro_rules! define_methods {
    ($(
        $(#[$class_doc:meta])*
        $class:ident($class_variant:ident) = $class_id:literal {
            $(
                $(#[$method_doc:meta])*
                $method:ident = $method_id:literal, $name:literal $($content:ident)?,
                $(reserved($($before:ty),+),)?
                {$(
                    $(#[$field_doc:meta])*
                    $field:ident: $kind:ty $(as $secret:ident)?
                ),* $(,)?}
                $(, reserved($($after:ty),+))?;
            )+
        }
    )+) => {
        $(
            $(#[$class_doc])*
            pub mod $class {
                use super::*;

                $(
                    $(#[$method_doc])*
                    #[derive(Clone, Default, PartialEq, Eq)]
                    pub struct $method {
                        $($(#[$field_doc])* pub $field: $kind,)*
                    }

                    impl fmt::Debug for $method {
                        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                            formatter
                                .debug_struct(stringify!($method))
                                $(.field(stringify!($field), define_methods!(@shown self.$field $(, $secret)?)))*
                                .finish()
                        }
                    }

                    impl MethodArguments for $method {
                        const SPEC: MethodSpec = MethodSpec {
                            id: MethodId { class_id: $class_id, method_id: $method_id },
                            name: $name,
                            carries_content: define_methods!(@carries $($content)?),
                            arguments: &[
                                $($(ArgumentSpec { name: "reserved", kind: <$before as Argument>::KIND },)+)?
                                $(ArgumentSpec { name: stringify!($field), kind: <$kind as Argument>::KIND },)*
                                $($(ArgumentSpec { name: "reserved", kind: <$after as Argument>::KIND },)+)?
                            ],
                        };

                        #[allow(unused_variables, reason = "some methods have no arguments")]
                        fn read(input: &mut ArgumentReader<'_>) -> Result<Self, ArgumentError> {
                            $($(input.read::<$before>()?;)+)?
                            $(let $field = input.read::<$kind>()?;)*
                            $($(input.read::<$after>()?;)+)?
                            Ok(Self { $($field),* })
                        }

                        #[allow(unused_variables, reason = "some methods have no arguments")]
                        fn write(&self, out: &mut ArgumentWriter<'_>) {
                            $($(out.write(&<$before>::default());)+)?
                            $(out.write(&self.$field);)*
                            $($(out.write(&<$after>::default());)+)?
                        }
                    }

                    impl From<$method> for super::Method {
                        fn from(method: $method) -> Self {
                            Self::$class_variant(Method::$method(method))
                        }
                    }
                )+

                /// Any method of the class.
                #[derive(Clone, Debug, PartialEq, Eq)]
                pub enum Method {
                    $($(#[$method_doc])* $method($method),)+
                }

                impl Method {
                    pub(super) fn read(id: MethodId, input: &[u8]) -> Result<Self, MethodError> {
                        match id.method_id {
                            $($method_id => read_all(input).map(Self::$method),)+
                            _ => Err(MethodError::UnknownMethod { id }),
                        }
                    }

                    pub(super) fn encode(&self, out: &mut Vec<u8>) {
                        match self {
                            $(Self::$method(method) => method.encode(out),)+
                        }
                    }

                    /// The numbers, the name and the arguments.
                    pub fn spec(&self) -> &'static MethodSpec {
                        match self {
                            $(Self::$method(_) => &<$method as MethodArguments>::SPEC,)+
                        }
                    }
                }
            }
        )+

        /// Any method.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Method {
            $($(#[$class_doc])* $class_variant($class::Method),)+
        }

        impl Method {
            /// Every method that this crate knows, by class and number.
            pub const ALL: &'static [MethodSpec] = &[
                $($(<$class::$method as MethodArguments>::SPEC,)+)+
            ];

            /// Reads the payload of a method frame.
            ///
            /// Strings are copied, so that the method keeps no read buffer alive.
            ///
            /// # Errors
            /// When the method is unknown, or its arguments are cut off, too long or damaged.
            pub fn decode(payload: &[u8]) -> Result<Self, MethodError> {
                let (id, input) = split_id(payload)?;
                match id.class_id {
                    $($class_id => $class::Method::read(id, input).map(Self::$class_variant),)+
                    _ => Err(MethodError::UnknownMethod { id }),
                }
            }

            /// Appends the payload of a method frame.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$class_variant(method) => method.encode(out),)+
                }
            }

            /// The numbers, the name and the arguments.
            pub fn spec(&self) -> &'static MethodSpec {
                match self {
                    $(Self::$class_variant(method) => method.spec(),)+
                }
            }
        }
    };
    (@carries content) => { true };
    (@carries) => { false };
    (@shown $self:ident.$field:ident) => { &$self.$field };
    (@shown $self:ident.$field:ident, secret) => { &format_args!("{} secret bytes", $self.$field.len()) };
}

pub(super) use define_methods;
