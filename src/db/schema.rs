//! The tables as diesel sees them; `migrations/` is the truth. Each is used by one `sql.rs` only.

diesel::table! {
    organizations (id) {
        id -> Unsigned<Integer>,
        name -> Text,
        created_at -> Datetime,
    }
}

diesel::table! {
    tenants (id) {
        id -> Unsigned<Integer>,
        organization_id -> Unsigned<Integer>,
        name -> Text,
        entra_tenant_id -> Text,
        client_id -> Text,
        credential_kind -> Text,
        credential_sealed -> Binary,
        state -> Text,
        state_detail -> Nullable<Text>,
        checked_at -> Nullable<Datetime>,
        next_sync_at -> Datetime,
        created_at -> Datetime,
    }
}

diesel::table! {
    resources (id) {
        id -> Unsigned<Integer>,
        tenant_id -> Unsigned<Integer>,
        graph_id -> Text,
        kind -> Text,
        name -> Text,
        address -> Text,
        state -> Text,
        seen_at -> Datetime,
        created_at -> Datetime,
    }
}

diesel::table! {
    scopes (tenant_id, name) {
        tenant_id -> Unsigned<Integer>,
        name -> Text,
        fenced_until -> Nullable<Datetime>,
        reason -> Text,
        used -> Text,
        forget_at -> Datetime,
    }
}

diesel::table! {
    admins (id) {
        id -> Unsigned<Integer>,
        name -> Text,
        role -> Text,
        created_at -> Datetime,
    }
}

diesel::table! {
    api_tokens (id) {
        id -> Unsigned<Integer>,
        admin_id -> Unsigned<Integer>,
        name -> Text,
        hash -> Binary,
        created_at -> Datetime,
        expires_at -> Nullable<Datetime>,
        last_used_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    storages (id) {
        id -> Unsigned<Integer>,
        name -> Text,
        backend -> Text,
        settings -> Text,
        store_uuid -> Binary,
        layout -> Text,
        key_sealed -> Nullable<Binary>,
        created_at -> Datetime,
        next_upkeep_at -> Datetime,
    }
}

diesel::table! {
    writers (id) {
        id -> Binary,
        storage_id -> Unsigned<Integer>,
        agent -> Text,
        state -> Text,
        started_at -> Datetime,
        heartbeat_at -> Datetime,
    }
}

diesel::table! {
    packs (id) {
        id -> Unsigned<Integer>,
        storage_id -> Unsigned<Integer>,
        uid -> Binary,
        state -> Text,
        bytes -> Unsigned<BigInt>,
        n_blobs -> Unsigned<Integer>,
        n_records -> Unsigned<Integer>,
        moved_to -> Nullable<Unsigned<Integer>>,
        created_at -> Datetime,
        verified_at -> Nullable<Datetime>,
        verified_level -> Unsigned<TinyInt>,
        dead_at -> Nullable<Datetime>,
        plain_bytes -> Nullable<Unsigned<BigInt>>,
        own_bytes -> Nullable<Unsigned<BigInt>>,
        n_own -> Nullable<Unsigned<Integer>>,
    }
}

diesel::table! {
    blobs (storage_id, id) {
        storage_id -> Unsigned<Integer>,
        id -> Binary,
        pack_id -> Unsigned<Integer>,
        bytes -> Unsigned<Integer>,
        state -> Unsigned<TinyInt>,
        condemned_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    verifications (task_id) {
        task_id -> Unsigned<BigInt>,
        storage_id -> Unsigned<Integer>,
        level -> Unsigned<TinyInt>,
        started_at -> Datetime,
        finished_at -> Nullable<Datetime>,
        n_packs -> Unsigned<BigInt>,
        bytes -> Unsigned<BigInt>,
        n_unknown -> Unsigned<BigInt>,
        n_unreadable -> Unsigned<BigInt>,
        n_sampled -> Unsigned<BigInt>,
    }
}

diesel::table! {
    quarantines (pack_id) {
        pack_id -> Unsigned<Integer>,
        storage_id -> Unsigned<Integer>,
        task_id -> Unsigned<BigInt>,
        what -> Text,
        all_lost -> Bool,
        n_lost -> Unsigned<Integer>,
        n_saved -> Unsigned<Integer>,
        found_at -> Datetime,
        scanned_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    losses (storage_id, blob_id, pack_id) {
        storage_id -> Unsigned<Integer>,
        blob_id -> Binary,
        pack_id -> Unsigned<Integer>,
    }
}

diesel::table! {
    damaged_versions (chain_id, item_key, from_point) {
        chain_id -> Unsigned<Integer>,
        item_key -> Binary,
        from_point -> Unsigned<Integer>,
        storage_id -> Unsigned<Integer>,
        properties_pack -> Unsigned<Integer>,
        pack_id -> Unsigned<Integer>,
        found_at -> Datetime,
    }
}

diesel::table! {
    chains (id) {
        id -> Unsigned<Integer>,
        resource_id -> Unsigned<Integer>,
        feature -> Text,
        storage_id -> Unsigned<Integer>,
        state -> Text,
        state_detail -> Nullable<Text>,
        last_point -> Unsigned<Integer>,
        sealed_at -> Nullable<Datetime>,
        created_at -> Datetime,
        policy_id -> Nullable<Unsigned<Integer>>,
        options -> Text,
        passed_over -> Text,
        unsearched -> Bool,
    }
}

diesel::table! {
    restore_points (chain_id, number) {
        chain_id -> Unsigned<Integer>,
        number -> Unsigned<Integer>,
        state -> Text,
        run_id -> Nullable<Unsigned<BigInt>>,
        task_id -> Nullable<Unsigned<BigInt>>,
        started_at -> Datetime,
        sealed_at -> Nullable<Datetime>,
        n_items -> Unsigned<BigInt>,
        n_added -> Unsigned<BigInt>,
        n_changed -> Unsigned<BigInt>,
        n_removed -> Unsigned<BigInt>,
        n_issues -> Unsigned<BigInt>,
        bytes_read -> Unsigned<BigInt>,
        bytes_stored -> Unsigned<BigInt>,
    }
}

diesel::table! {
    containers (id) {
        id -> Unsigned<Integer>,
        chain_id -> Unsigned<Integer>,
        graph_id -> Text,
        well_known -> Nullable<Text>,
        cursor_since -> Nullable<Binary>,
        cursor_resume -> Nullable<Binary>,
        full_walks -> Unsigned<Integer>,
        walking -> Bool,
        n_service -> Nullable<Unsigned<BigInt>>,
    }
}

diesel::table! {
    container_versions (container_id, from_point) {
        container_id -> Unsigned<Integer>,
        from_point -> Unsigned<Integer>,
        to_point -> Unsigned<Integer>,
        chain_id -> Unsigned<Integer>,
        parent_id -> Nullable<Unsigned<Integer>>,
        name -> Text,
        hidden -> Bool,
    }
}

diesel::table! {
    container_tallies (container_id, point) {
        container_id -> Unsigned<Integer>,
        point -> Unsigned<Integer>,
        items -> BigInt,
        bytes -> BigInt,
    }
}

diesel::table! {
    item_versions (chain_id, version_number) {
        chain_id -> Unsigned<Integer>,
        version_number -> Unsigned<Integer>,
        item_key -> Binary,
        from_point -> Unsigned<Integer>,
        to_point -> Unsigned<Integer>,
        container_id -> Unsigned<Integer>,
        parent_key -> Binary,
        full_walk -> Unsigned<Integer>,
        kind -> Unsigned<TinyInt>,
        flags -> Unsigned<SmallInt>,
        change_tag -> Unsigned<BigInt>,
        name -> Text,
        party -> Text,
        item_time -> Datetime,
        bytes -> Unsigned<BigInt>,
        properties_pack -> Unsigned<Integer>,
        properties_blob -> Binary,
        content_pack -> Nullable<Unsigned<Integer>>,
        content_blob -> Nullable<Binary>,
        refs -> Nullable<Binary>,
    }
}

diesel::table! {
    search_pages (chain_id, page) {
        chain_id -> Unsigned<Integer>,
        page -> Unsigned<Integer>,
        oldest -> Unsigned<SmallInt>,
        newest -> Unsigned<SmallInt>,
        days -> Binary,
        texts -> Binary,
    }
}

diesel::table! {
    search_words (shelf, chain_id, volume) {
        shelf -> Unsigned<TinyInt>,
        chain_id -> Unsigned<Integer>,
        volume -> Unsigned<Integer>,
        postings -> Binary,
    }
}

diesel::table! {
    begun_contents (chain_id, item_key, part) {
        chain_id -> Unsigned<Integer>,
        item_key -> Binary,
        part -> Unsigned<Integer>,
        content_tag -> Unsigned<Bigint>,
        point -> Unsigned<Integer>,
        blobs -> Binary,
    }
}

diesel::table! {
    issues (chain_id, item_key) {
        chain_id -> Unsigned<Integer>,
        item_key -> Binary,
        container_id -> Unsigned<Integer>,
        graph_id -> Text,
        name -> Text,
        reason -> Text,
        skipped -> Bool,
        message -> Text,
        attempts -> Unsigned<Integer>,
        first_point -> Unsigned<Integer>,
        last_point -> Unsigned<Integer>,
        next_point -> Unsigned<Integer>,
        first_at -> Datetime,
        last_at -> Datetime,
    }
}

diesel::table! {
    retentions (policy_id) {
        policy_id -> Unsigned<Integer>,
        keep_last -> Unsigned<Integer>,
        keep_days -> Unsigned<Integer>,
        keep_daily -> Unsigned<Integer>,
        keep_weekly -> Unsigned<Integer>,
        keep_monthly -> Unsigned<Integer>,
        keep_yearly -> Unsigned<Integer>,
    }
}

diesel::table! {
    outcomes (restore_id, chain_id, item_key) {
        restore_id -> Unsigned<BigInt>,
        chain_id -> Unsigned<Integer>,
        item_key -> Binary,
        outcome -> Text,
        remark -> Nullable<Text>,
        bytes -> Unsigned<BigInt>,
    }
}

diesel::table! {
    restore_parts (restore_id, chain_id) {
        restore_id -> Unsigned<BigInt>,
        chain_id -> Unsigned<Integer>,
        point -> Unsigned<Integer>,
        target_resource -> Unsigned<Integer>,
        asked -> Nullable<Unsigned<BigInt>>,
        asked_bytes -> Nullable<Unsigned<BigInt>>,
        requests -> Unsigned<BigInt>,
        upload_bytes -> Unsigned<BigInt>,
        seconds -> Unsigned<BigInt>,
        n_created -> Unsigned<BigInt>,
        n_updated -> Unsigned<BigInt>,
        n_skipped -> Unsigned<BigInt>,
        n_failed -> Unsigned<BigInt>,
        bytes -> Unsigned<BigInt>,
    }
}

diesel::table! {
    agents (id) {
        id -> Unsigned<Integer>,
        name -> Text,
        host -> Text,
        version -> Text,
        workers -> Unsigned<Integer>,
        state -> Text,
        started_at -> Datetime,
        heartbeat_at -> Datetime,
    }
}

diesel::table! {
    tasks (id) {
        id -> Unsigned<BigInt>,
        kind -> Text,
        state -> Text,
        priority -> Unsigned<TinyInt>,
        organization_id -> Unsigned<Integer>,
        tenant_id -> Nullable<Unsigned<Integer>>,
        resource_id -> Nullable<Unsigned<Integer>>,
        run_id -> Nullable<Unsigned<BigInt>>,
        restore_id -> Nullable<Unsigned<BigInt>>,
        work -> Text,
        open_key -> Nullable<Text>,
        exclusive_key -> Nullable<Text>,
        held_key -> Nullable<Text>,
        not_before -> Datetime,
        attempts -> Unsigned<Integer>,
        epoch -> Unsigned<Integer>,
        agent_id -> Nullable<Unsigned<Integer>>,
        expires_at -> Nullable<Datetime>,
        cancel_requested -> Bool,
        phase -> Text,
        items_done -> Unsigned<BigInt>,
        items_total -> Nullable<Unsigned<BigInt>>,
        bytes_done -> Unsigned<BigInt>,
        waits_for -> Nullable<Text>,
        last_error -> Nullable<Text>,
        result -> Nullable<Text>,
        n_issues -> Unsigned<BigInt>,
        created_at -> Datetime,
        started_at -> Nullable<Datetime>,
        finished_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    lanes (organization_id, tenant_id, priority, kind) {
        organization_id -> Unsigned<Integer>,
        tenant_id -> Unsigned<Integer>,
        priority -> Unsigned<TinyInt>,
        kind -> Text,
    }
}

diesel::table! {
    policies (id) {
        id -> Unsigned<Integer>,
        organization_id -> Unsigned<Integer>,
        name -> Text,
        storage_id -> Unsigned<Integer>,
        created_at -> Datetime,
        options -> Text,
        content_download -> Bool,
    }
}

diesel::table! {
    schedules (id) {
        id -> Unsigned<Integer>,
        organization_id -> Unsigned<Integer>,
        policy_id -> Unsigned<Integer>,
        name -> Text,
        selection -> Text,
        features -> Text,
        cron -> Text,
        time_zone -> Text,
        enabled -> Bool,
        next_fire_at -> Nullable<Datetime>,
        created_at -> Datetime,
    }
}

diesel::table! {
    runs (id) {
        id -> Unsigned<BigInt>,
        organization_id -> Unsigned<Integer>,
        schedule_id -> Nullable<Unsigned<Integer>>,
        fire_at -> Nullable<Datetime>,
        reason -> Text,
        state -> Text,
        cancel_requested -> Bool,
        n_tasks -> Unsigned<BigInt>,
        n_skipped -> Unsigned<BigInt>,
        n_gone -> Unsigned<BigInt>,
        n_succeeded -> Unsigned<BigInt>,
        n_failed -> Unsigned<BigInt>,
        n_cancelled -> Unsigned<BigInt>,
        n_issues -> Unsigned<BigInt>,
        items_done -> Unsigned<BigInt>,
        bytes_done -> Unsigned<BigInt>,
        created_at -> Datetime,
        finished_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    restores (id) {
        id -> Unsigned<BigInt>,
        organization_id -> Unsigned<Integer>,
        chain_id -> Unsigned<Integer>,
        point -> Unsigned<Integer>,
        target_resource -> Unsigned<Integer>,
        request -> Text,
        requested_by -> Text,
        created_at -> Datetime,
    }
}

diesel::table! {
    rehearsals (id) {
        id -> Unsigned<BigInt>,
        organization_id -> Unsigned<Integer>,
        sandbox_resource -> Unsigned<Integer>,
        seed -> Unsigned<BigInt>,
        per_feature -> Unsigned<Integer>,
        restore_id -> Unsigned<BigInt>,
        task_id -> Unsigned<BigInt>,
        cancel_requested -> Bool,
        requested_by -> Text,
        created_at -> Datetime,
        finished_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    rehearsal_scores (rehearsal_id, chain_id) {
        rehearsal_id -> Unsigned<BigInt>,
        chain_id -> Unsigned<Integer>,
        point -> Unsigned<Integer>,
        feature -> Text,
        n_sampled -> Unsigned<Integer>,
        n_compared -> Unsigned<Integer>,
        n_missing -> Unsigned<Integer>,
        n_left_out -> Unsigned<Integer>,
        n_fields -> Unsigned<BigInt>,
        n_back -> Unsigned<BigInt>,
        remark -> Nullable<Text>,
        compared_at -> Nullable<Datetime>,
        stays -> Nullable<Text>,
        cleared_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    rehearsal_differences (id) {
        id -> Unsigned<BigInt>,
        rehearsal_id -> Unsigned<BigInt>,
        chain_id -> Unsigned<Integer>,
        item_key -> Binary,
        field -> Text,
        part -> Text,
    }
}

diesel::table! {
    rehearsal_plans (organization_id) {
        organization_id -> Unsigned<Integer>,
        sandbox_resource -> Unsigned<Integer>,
        per_feature -> Unsigned<Integer>,
        although_protected -> Bool,
        cron -> Text,
        time_zone -> Text,
        next_fire_at -> Nullable<Datetime>,
        last_problem -> Nullable<Text>,
    }
}

diesel::table! {
    exports (id) {
        id -> Unsigned<BigInt>,
        organization_id -> Unsigned<Integer>,
        request -> Text,
        passphrase_sealed -> Nullable<Binary>,
        task_id -> Nullable<Unsigned<BigInt>>,
        requested_by -> Text,
        created_at -> Datetime,
        expires_at -> Nullable<Datetime>,
    }
}

diesel::table! {
    audit (id) {
        id -> Unsigned<BigInt>,
        at -> Datetime,
        admin_id -> Unsigned<Integer>,
        admin_name -> Text,
        address -> Text,
        action -> Text,
        details -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(organizations, tenants, resources);
diesel::allow_tables_to_appear_in_same_query!(admins, api_tokens);
diesel::allow_tables_to_appear_in_same_query!(storages, writers, packs, blobs);
diesel::allow_tables_to_appear_in_same_query!(
    chains,
    restore_points,
    containers,
    container_versions,
    container_tallies,
    item_versions,
    issues,
    outcomes
);
diesel::allow_tables_to_appear_in_same_query!(agents, tasks);
diesel::allow_tables_to_appear_in_same_query!(policies, schedules, runs);
