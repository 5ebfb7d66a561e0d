-- The shop's own database. Run once as its owner; the app connects as role `shop`.

create table newsletter (
    email     text not null constraint newsletter_email_key unique,
    joined_at timestamptz not null default now()
);

create table reviews (
    id       bigint generated always as identity primary key,
    slug     text not null,
    customer text not null,
    stars    int not null check (stars between 1 and 5),
    body     text not null
);

-- Nobody writes in another customer's name, whatever the code above says.
alter table reviews enable row level security;
alter table reviews force row level security;
create policy reviews_read on reviews for select using (true);
create policy reviews_write on reviews for insert
    with check (customer = current_setting('shop.customer', true));

create table order_lines (
    id         bigint generated always as identity primary key,
    slug       text not null,
    quantity   int not null,
    ordered_at timestamptz not null
);

-- Two years of orders.
insert into order_lines (slug, quantity, ordered_at)
select (array['sencha', 'gyokuro', 'darjeeling', 'tieguanyin', 'lapsang', 'kettle'])[1 + n % 6],
       1 + n % 3,
       now() - n * interval '7 minutes'
from generate_series(1, 150000) as n;

analyze order_lines;

grant select, insert on newsletter, reviews to shop;
grant select on order_lines to shop;
