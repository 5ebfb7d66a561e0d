create database demo;
