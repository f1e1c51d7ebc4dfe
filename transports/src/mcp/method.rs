//! The methods of MCP and what a gateway must know of each.

use super::Version;
use super::Version::{V2024_11_05, V2025_11_25, V2026_07_28};

/// A method of some revision of MCP. Which side may send it: [`Method::is_for_servers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Initialize,
    Ping,
    Discover,
    ToolsList,
    ToolsCall,
    PromptsList,
    PromptsGet,
    ResourcesList,
    ResourceTemplatesList,
    ResourcesRead,
    ResourcesSubscribe,
    ResourcesUnsubscribe,
    CompletionComplete,
    LoggingSetLevel,
    SubscriptionsListen,
    TasksGet,
    TasksUpdate,
    TasksCancel,
    TasksList,
    TasksResult,
    RootsList,
    SamplingCreateMessage,
    ElicitationCreate,
    NotificationInitialized,
    NotificationCancelled,
    NotificationProgress,
    NotificationMessage,
    NotificationRootsListChanged,
    NotificationToolsListChanged,
    NotificationPromptsListChanged,
    NotificationResourcesListChanged,
    NotificationResourcesUpdated,
    NotificationElicitationComplete,
    NotificationTasksStatus,
    NotificationSubscriptionsAcknowledged,
    /// None of these.
    Other,
}

/// Each method and its name.
const NAMES: [(Method, &str); 35] = [
    (Method::ToolsCall, "tools/call"),
    (Method::ToolsList, "tools/list"),
    (Method::PromptsList, "prompts/list"),
    (Method::PromptsGet, "prompts/get"),
    (Method::ResourcesList, "resources/list"),
    (Method::ResourceTemplatesList, "resources/templates/list"),
    (Method::ResourcesRead, "resources/read"),
    (Method::ResourcesSubscribe, "resources/subscribe"),
    (Method::ResourcesUnsubscribe, "resources/unsubscribe"),
    (Method::Initialize, "initialize"),
    (Method::Ping, "ping"),
    (Method::Discover, "server/discover"),
    (Method::CompletionComplete, "completion/complete"),
    (Method::LoggingSetLevel, "logging/setLevel"),
    (Method::SubscriptionsListen, "subscriptions/listen"),
    (Method::TasksGet, "tasks/get"),
    (Method::TasksUpdate, "tasks/update"),
    (Method::TasksCancel, "tasks/cancel"),
    (Method::TasksList, "tasks/list"),
    (Method::TasksResult, "tasks/result"),
    (Method::RootsList, "roots/list"),
    (Method::SamplingCreateMessage, "sampling/createMessage"),
    (Method::ElicitationCreate, "elicitation/create"),
    (Method::NotificationInitialized, "notifications/initialized"),
    (Method::NotificationCancelled, "notifications/cancelled"),
    (Method::NotificationProgress, "notifications/progress"),
    (Method::NotificationMessage, "notifications/message"),
    (Method::NotificationRootsListChanged, "notifications/roots/list_changed"),
    (Method::NotificationToolsListChanged, "notifications/tools/list_changed"),
    (Method::NotificationPromptsListChanged, "notifications/prompts/list_changed"),
    (Method::NotificationResourcesListChanged, "notifications/resources/list_changed"),
    (Method::NotificationResourcesUpdated, "notifications/resources/updated"),
    (Method::NotificationElicitationComplete, "notifications/elicitation/complete"),
    (Method::NotificationTasksStatus, "notifications/tasks/status"),
    (Method::NotificationSubscriptionsAcknowledged, "notifications/subscriptions/acknowledged"),
];

impl Method {
    /// All there are, in their order.
    pub const ALL: [Method; 36] = [
        Method::Initialize,
        Method::Ping,
        Method::Discover,
        Method::ToolsList,
        Method::ToolsCall,
        Method::PromptsList,
        Method::PromptsGet,
        Method::ResourcesList,
        Method::ResourceTemplatesList,
        Method::ResourcesRead,
        Method::ResourcesSubscribe,
        Method::ResourcesUnsubscribe,
        Method::CompletionComplete,
        Method::LoggingSetLevel,
        Method::SubscriptionsListen,
        Method::TasksGet,
        Method::TasksUpdate,
        Method::TasksCancel,
        Method::TasksList,
        Method::TasksResult,
        Method::RootsList,
        Method::SamplingCreateMessage,
        Method::ElicitationCreate,
        Method::NotificationInitialized,
        Method::NotificationCancelled,
        Method::NotificationProgress,
        Method::NotificationMessage,
        Method::NotificationRootsListChanged,
        Method::NotificationToolsListChanged,
        Method::NotificationPromptsListChanged,
        Method::NotificationResourcesListChanged,
        Method::NotificationResourcesUpdated,
        Method::NotificationElicitationComplete,
        Method::NotificationTasksStatus,
        Method::NotificationSubscriptionsAcknowledged,
        Method::Other,
    ];

    /// From its name.
    pub fn of(name: &str) -> Method {
        NAMES.iter().find(|(_, known)| *known == name).map_or(Method::Other, |(method, _)| *method)
    }

    /// Its name; `None` for [`Method::Other`].
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(method, _)| *method == self).map(|(_, name)| *name)
    }

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
