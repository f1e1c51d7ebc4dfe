//! The methods of MCP and what a gateway must know of each.

use super::Version;
use super::Version::{V2024_11_05, V2025_11_25, V2026_07_28};

/// The methods, and both ways between them and their names, from one list. `match` compares lengths first, then few bytes.
macro_rules! methods {
    ($($method:ident => $name:literal,)*) => {
        /// A method of some revision of MCP. Which side may send it: [`Method::is_for_servers`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $(#[doc = concat!("`", $name, "`")] $method,)*
            /// None of these.
            Other,
        }

        impl Method {
            /// All there are, in their order.
            pub const ALL: &[Method] = &[$(Method::$method,)* Method::Other];

            /// From its name.
            pub fn of(name: &str) -> Method {
                match name {
                    $($name => Method::$method,)*
                    _ => Method::Other,
                }
            }

            /// Its name; `None` for [`Method::Other`].
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Method::$method => Some($name),)*
                    Method::Other => None,
                }
            }
        }
    };
}

methods! {
    Initialize => "initialize",
    Ping => "ping",
    Discover => "server/discover",
    ToolsList => "tools/list",
    ToolsCall => "tools/call",
    PromptsList => "prompts/list",
    PromptsGet => "prompts/get",
    ResourcesList => "resources/list",
    ResourceTemplatesList => "resources/templates/list",
    ResourcesRead => "resources/read",
    ResourcesSubscribe => "resources/subscribe",
    ResourcesUnsubscribe => "resources/unsubscribe",
    CompletionComplete => "completion/complete",
    LoggingSetLevel => "logging/setLevel",
    SubscriptionsListen => "subscriptions/listen",
    TasksGet => "tasks/get",
    TasksUpdate => "tasks/update",
    TasksCancel => "tasks/cancel",
    TasksList => "tasks/list",
    TasksResult => "tasks/result",
    RootsList => "roots/list",
    SamplingCreateMessage => "sampling/createMessage",
    ElicitationCreate => "elicitation/create",
    NotificationInitialized => "notifications/initialized",
    NotificationCancelled => "notifications/cancelled",
    NotificationProgress => "notifications/progress",
    NotificationMessage => "notifications/message",
    NotificationRootsListChanged => "notifications/roots/list_changed",
    NotificationToolsListChanged => "notifications/tools/list_changed",
    NotificationPromptsListChanged => "notifications/prompts/list_changed",
    NotificationResourcesListChanged => "notifications/resources/list_changed",
    NotificationResourcesUpdated => "notifications/resources/updated",
    NotificationElicitationComplete => "notifications/elicitation/complete",
    NotificationTasksStatus => "notifications/tasks/status",
    NotificationSubscriptionsAcknowledged => "notifications/subscriptions/acknowledged",
}

impl Method {
    /// Under which key the result of a list, which comes in pages, has its items.
    pub const fn list_key(self) -> Option<&'static str> {
        match self {
            Method::ToolsList => Some("tools"),
            Method::PromptsList => Some("prompts"),
            Method::ResourcesList => Some("resources"),
            Method::ResourceTemplatesList => Some("resourceTemplates"),
            _ => None,
        }
    }

    /// Whether a request that may or may not have been served can be sent again without harm.
    pub const fn is_idempotent(self) -> bool {
        matches!(
            self,
            Method::Ping
                | Method::Discover
                | Method::ToolsList
                | Method::PromptsList
                | Method::PromptsGet
                | Method::ResourcesList
                | Method::ResourceTemplatesList
                | Method::ResourcesRead
                | Method::CompletionComplete
                | Method::TasksGet
                | Method::TasksList
                | Method::TasksResult
        )
    }

    /// Which parameter goes into the header `Mcp-Name` (2026-07-28; `taskId` by the Tasks extension,
    /// SEP-2663).
    pub const fn name_param(self) -> Option<&'static str> {
        match self {
            Method::ToolsCall | Method::PromptsGet => Some("name"),
            Method::ResourcesRead => Some("uri"),
            Method::TasksGet | Method::TasksUpdate | Method::TasksCancel => Some("taskId"),
            _ => None,
        }
    }

    /// Whether it is a request that clients of some revision send to servers, or none of these methods.
    pub fn is_request_of_clients(self) -> bool {
        let notifies = self.name().is_some_and(|name| name.starts_with("notifications/"));
        self == Method::Other || self.life().is_some() && !notifies
    }

    /// Whether a client of `version` may send it to a server.
    pub fn is_for_servers(self, version: Version) -> bool {
        self.life().is_some_and(|(since, until)| (since..=until).contains(&version))
    }

    /// The first and the last revision in which clients send it to servers.
    const fn life(self) -> Option<(Version, Version)> {
        match self {
            Method::ToolsList
            | Method::ToolsCall
            | Method::PromptsList
            | Method::PromptsGet
            | Method::ResourcesList
            | Method::ResourceTemplatesList
            | Method::ResourcesRead
            | Method::CompletionComplete
            | Method::NotificationCancelled => Some((V2024_11_05, V2026_07_28)),
            Method::Initialize
            | Method::Ping
            | Method::ResourcesSubscribe
            | Method::ResourcesUnsubscribe
            | Method::LoggingSetLevel
            | Method::NotificationInitialized
            | Method::NotificationProgress
            | Method::NotificationRootsListChanged => Some((V2024_11_05, V2025_11_25)),
            Method::TasksList | Method::TasksResult | Method::NotificationTasksStatus => {
                Some((V2025_11_25, V2025_11_25))
            }
            Method::TasksGet | Method::TasksCancel => Some((V2025_11_25, V2026_07_28)),
            Method::Discover | Method::SubscriptionsListen | Method::TasksUpdate => {
                Some((V2026_07_28, V2026_07_28))
            }
            Method::RootsList
            | Method::SamplingCreateMessage
            | Method::ElicitationCreate
            | Method::NotificationMessage
            | Method::NotificationToolsListChanged
            | Method::NotificationPromptsListChanged
            | Method::NotificationResourcesListChanged
            | Method::NotificationResourcesUpdated
            | Method::NotificationElicitationComplete
            | Method::NotificationSubscriptionsAcknowledged
            | Method::Other => None,
        }
    }
}
